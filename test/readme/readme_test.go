// Package readme_test runs what README.md shows.
package readme_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// step is a command of a console block and what is shown below it.
type step struct {
	line    int
	command string
	output  []string
}

// blocks takes the console blocks out of a Markdown text. Within one, "$ "
// begins a command, "> " continues it, and all else is its output.
func blocks(text string) (all [][]step) {
	var block []step
	inside := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case !inside:
			inside = strings.TrimSpace(line) == "```console"
		case strings.TrimSpace(line) == "```":
			inside = false
			if len(block) > 0 {
				all = append(all, block)
			}
			block = nil
		case strings.HasPrefix(line, "$ "):
			block = append(block, step{line: i + 1, command: line[2:]})
		case len(block) == 0:
		case strings.HasPrefix(line, "> ") && len(block[len(block)-1].output) == 0:
			block[len(block)-1].command += "\n" + line[2:]
		default:
			last := &block[len(block)-1]
			last.output = append(last.output, line)
		}
	}
	return all
}

// matches compares a line with what is shown, where "..." is anything.
func matches(shown, got string) bool {
	parts := strings.Split(strings.TrimSpace(shown), "...")
	got = strings.TrimSpace(got)
	if len(parts) == 1 {
		return got == parts[0]
	}
	if !strings.HasPrefix(got, parts[0]) {
		return false
	}
	got = got[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(got, part)
		if i < 0 {
			return false
		}
		got = got[i+len(part):]
	}
	return strings.HasSuffix(got, parts[len(parts)-1])
}

// compare says what is wrong with an output, "" for nothing. A line of only
// "..." stands for any number of lines.
func compare(shown, got []string) string {
	if len(shown) == 0 {
		return ""
	}
	for i := range shown {
		if strings.TrimSpace(shown[i]) == "..." {
			if i == len(shown)-1 {
				return ""
			}
			for j := range got {
				if compare(shown[i+1:], got[j:]) == "" {
					return ""
				}
			}
			return fmt.Sprintf("nothing matches what comes after the ... before %q", shown[i+1])
		}
		if i >= len(got) {
			return fmt.Sprintf("line %q is missing", shown[i])
		}
		if !matches(shown[i], got[i]) {
			return fmt.Sprintf("line %q is not %q", got[i], shown[i])
		}
	}
	if len(got) > len(shown) {
		return fmt.Sprintf("line %q is too much", got[len(shown)])
	}
	return ""
}

func TestTheComparison(t *testing.T) {
	for _, test := range []struct {
		shown, got string
		same       bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a ... c", "a b b c", true},
		{"a ... c", "a b b d", false},
		{"...c", "abc", true},
		{"a\n...\nz", "a\nb\nc\nz", true},
		{"a\n...", "a\nb", true},
		{"a", "a\nb", false},
		{"a\nb", "a", false},
	} {
		wrong := compare(strings.Split(test.shown, "\n"), strings.Split(test.got, "\n"))
		if (wrong == "") != test.same {
			t.Errorf("%q and %q: %s", test.shown, test.got, wrong)
		}
	}
}

func TestWhatTheReadmeShowsIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if os.IsNotExist(err) {
		t.Skip("there is no README.md yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	all := blocks(string(text))
	if len(all) == 0 {
		t.Skip("README.md has no console block")
	}
	for _, block := range all {
		t.Run(fmt.Sprintf("line %d", block[0].line), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, s := range block {
				runStep(t, dir, s)
			}
		})
	}
}

func runStep(t *testing.T, dir string, s step) {
	t.Helper()
	cmd := exec.Command("sh", "-c", s.command)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + harness.Path(), "HOME=" + dir, "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run")}
	cmd.WaitDelay = harness.Fatal
	timeout := time.AfterFunc(harness.Fatal, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	out, err := cmd.CombinedOutput()
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(out) == 0 {
		got = nil
	}
	if wrong := compare(s.output, got); wrong != "" {
		t.Errorf("README.md:%d: $ %s\n%s; the whole output (%v):\n%s", s.line, s.command, wrong, err, out)
	} else if err != nil && len(s.output) == 0 {
		t.Errorf("README.md:%d: $ %s\n%v:\n%s", s.line, s.command, err, out)
	}
}
