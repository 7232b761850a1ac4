// Package readme_test holds the pages for users to what the program does: it
// runs the console blocks of README.md and of every page in docs/, follows the
// links between the pages, and looks up the tests and variables that they name.
//
//	```console
//	$ brood -n1 --log-level error -- echo hello
//	hello
//	```
//
// "$ " begins a command, "> " continues it, all else is its output, in which
// "..." is anything, and a line of only "..." any number of lines. What is shown
// without output has to end with 0.
//
// A block runs in a directory of its own, beside all the others. BROOD_PIDFILE
// and BROOD_METRICS_ADDR keep its broods away from each other and from those of
// the machine.
package readme_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// root is where the pages are, seen from here.
const root = "../.."

// page is a Markdown file with its path in the repository.
type page struct {
	path, text string
}

// pages are all that users and those who work on brood read.
func pages(t *testing.T) (all []page) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			path, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page{path, string(text)})
		}
	}
	if len(all) < 10 {
		t.Fatalf("there are only %d pages in %s", len(all), root)
	}
	return all
}

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

func TestWhatThePagesShowIsTrue(t *testing.T) {
	for _, p := range pages(t) {
		for _, block := range blocks(p.text) {
			t.Run(fmt.Sprintf("%s line %d", p.path, block[0].line), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for _, program := range []string{"gunicorn", "nginx"} {
					if slices.ContainsFunc(block, func(s step) bool { return strings.Contains(s.command, "-- "+program) }) {
						harness.Need(t, program)
					}
				}
				for _, s := range block {
					runStep(t, p.path, dir, s)
				}
			})
		}
	}
}

// A block that no test runs because its fence is misspelt proves nothing.
func TestCommandsAreShownInBlocksThatAreRun(t *testing.T) {
	for _, p := range pages(t) {
		fence := ""
		for i, line := range strings.Split(p.text, "\n") {
			switch {
			case strings.HasPrefix(strings.TrimSpace(line), "```"):
				if fence == "" {
					fence = strings.TrimSpace(line)
				} else {
					fence = ""
				}
			case strings.HasPrefix(line, "$ brood ") && fence != "" && fence != "```console":
				t.Errorf("%s:%d: %s is in a block that begins with %s, and so is not run", p.path, i+1, line, fence)
			}
		}
		if fence != "" {
			t.Errorf("%s: the last block is not closed", p.path)
		}
	}
}

func runStep(t *testing.T, path, dir string, s step) {
	t.Helper()
	cmd := exec.Command("sh", "-c", s.command)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + harness.Path(), "HOME=" + dir, "TMPDIR=" + dir, "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"),
		"BROOD_PIDFILE=" + filepath.Join(dir, "run", "brood.pid"), "BROOD_METRICS_ADDR=none",
	}
	// A group, so that what a command has started ends with it if it hangs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = harness.Fatal
	timeout := time.AfterFunc(harness.Fatal, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timeout.Stop()
	out, err := cmd.CombinedOutput()
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(out) == 0 {
		got = nil
	}
	if wrong := compare(s.output, got); wrong != "" {
		t.Errorf("%s:%d: $ %s\n%s; the whole output (%v):\n%s", path, s.line, s.command, wrong, err, out)
	} else if err != nil && len(s.output) == 0 {
		t.Errorf("%s:%d: $ %s\n%v:\n%s", path, s.line, s.command, err, out)
	}
}
