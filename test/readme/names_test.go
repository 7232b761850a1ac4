package readme_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+?)\s*$`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```")
	testName = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]+\b`)
	variable = regexp.MustCompile(`\bBROOD_[A-Z][A-Z_]*[A-Z]\b`)
)

// anchor is what GitHub makes of a heading.
func anchor(title string) string {
	title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(title), "")
	return strings.ReplaceAll(title, " ", "-")
}

func TestLinksLeadSomewhere(t *testing.T) {
	anchors := make(map[string][]string)
	all := pages(t)
	for _, p := range all {
		for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(p.text, ""), -1) {
			anchors[p.path] = append(anchors[p.path], anchor(h[1]))
		}
	}
	for _, p := range all {
		for _, l := range link.FindAllStringSubmatch(fenced.ReplaceAllString(p.text, ""), -1) {
			target, fragment, _ := strings.Cut(l[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := p.path
			if target != "" {
				path = filepath.Join(filepath.Dir(p.path), target)
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s links to %s: %v", p.path, l[1], err)
			}
			if fragment != "" && !slices.Contains(anchors[path], fragment) {
				t.Errorf("%s links to %s, and the headings there are %q", p.path, l[1], anchors[path])
			}
		}
	}
}

// SECURITY.md says which test proves what.
func TestTheTestsThatPagesNameExist(t *testing.T) {
	exist := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range testName.FindAllString(string(text), -1) {
			exist[name] = exist[name] || strings.Contains(string(text), "func "+name+"(")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		for _, name := range testName.FindAllString(p.text, -1) {
			if !exist[name] {
				t.Errorf("%s names %s, and there is no such test", p.path, name)
			}
		}
	}
}

// Settings are in the help. These are what brood gives to workers and hooks, what
// its tests read, and what the kubelet makes for a Service called brood.
var (
	given = []string{
		"BROOD_SLOT", "BROOD_INDEX", "BROOD_COUNT", "BROOD_INCARNATION", "BROOD_WORKER_PIDFILE", "BROOD_LEADER",
		"BROOD_PID", "BROOD_REASON", "BROOD_UPTIME",
	}
	others = []string{"BROOD_TEST_", "BROOD_COMPARE_OUT", "BROOD_PORT", "BROOD_SERVICE_HOST"}
)

func TestTheVariablesThatPagesNameExist(t *testing.T) {
	help, err := exec.Command(harness.Binary(), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := append(variable.FindAllString(string(help), -1), given...)
	for _, p := range pages(t) {
		for _, name := range variable.FindAllString(p.text, -1) {
			other := slices.ContainsFunc(others, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
			if !other && !slices.Contains(known, name) {
				t.Errorf("%s names %s, and brood knows no such variable", p.path, name)
			}
		}
	}
}
