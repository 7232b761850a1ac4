package peers_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// ending is a command with the code that each init ends with. tini's are the
// shell's, and brood's are the same.
type ending struct {
	row      string
	argv     []string
	tini     int
	dumbInit int
}

func endings(dir string) []ending {
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	return []ending{
		{"", sh("exit 0"), 0, 0},
		{"", sh("exit 1"), 1, 1},
		{"10 child exits 7", sh("exit 7"), 7, 7},
		{"", sh("exit 127"), 127, 127},
		{"", sh("exit 255"), 255, 255},
		{"11 child dies of TERM", sh("kill -TERM $$"), 143, 143},
		{"", sh("kill -KILL $$"), 137, 137},
		{"", sh("kill -HUP $$"), 129, 129},
		{"", sh("kill -SEGV $$"), 139, 139},
		{"12 command not found", []string{"no-such-command"}, 127, 2},
		{"", []string{dir + "/nowhere"}, 127, 2},
		{"13 command not executable", []string{dir + "/plain"}, 126, 2},
		{"", []string{dir}, 126, 2},
		{"14 script without #!", []string{dir + "/script"}, 5, 5},
		{"15 PATH match without x bit", []string{"plain"}, 126, 2},
		// ENOENT is about the interpreter: what is there is not "not found".
		{"16 missing interpreter", []string{dir + "/lost"}, 127, 2},
	}
}

// brood's codes that are not tini's, with the reason.
var otherCodes = map[string]int{
	"16 missing interpreter": 126, // the file was found and cannot be executed
}

func TestExitCodes(t *testing.T) {
	each(t, func(t *testing.T, m harness.Mode, p peer) {
		dir := t.TempDir()
		for name, file := range map[string]struct {
			text string
			mode os.FileMode
		}{
			"plain": {"x", 0o644}, "script": {"exit 5\n", 0o755}, "lost": {"#!/no/such/interpreter\n", 0o755},
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(file.text), file.mode); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range endings(dir) {
			b := p.start(t, m, harness.Options{Env: []string{"PATH=" + harness.Path() + ":" + dir}}, e.argv...)
			want := e.tini
			if other, ok := otherCodes[e.row]; ok && p.program == "" {
				want = other
			}
			if p.name == "dumb-init" {
				want = e.dumbInit
			}
			got := b.Wait()
			if got != want {
				t.Errorf("%q ends with %d, want %d; it said:\n%s", e.argv, got, want, b.Stderr)
			}
			if e.row != "" {
				results.note(e.row, p, strconv.Itoa(got))
			}
		}
	})
}
