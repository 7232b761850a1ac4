// Package service_test runs a program on package service as real processes.
package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// program is built once, and next is the same with another version in it.
var program, next string

func TestMain(m *testing.M) { harness.Main(built{m}) }

type built struct{ *testing.M }

// Run builds the program before the tests.
func (b built) Run() int {
	dir, err := os.MkdirTemp("", "service-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		defer os.RemoveAll(dir)
		const source = "github.com/brood-init/brood/test/service/program"
		program, next = filepath.Join(dir, "program"), filepath.Join(dir, "next")
		err = harness.Build(program, source)
		if err == nil {
			err = harness.Build(next, "-ldflags=-X main.version=2", source)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot build the program:", err)
		return 1
	}
	return b.M.Run()
}

// service is a run of the program.
type service struct {
	*harness.Brood
	notes string // what Prepare, Finish and the workers say
}

// start runs the program with flags and words of its own, and variables.
func start(t *testing.T, m harness.Mode, environ []string, args ...string) service {
	t.Helper()
	return startFile(t, m, program, environ, args...)
}

func startFile(t *testing.T, m harness.Mode, path string, environ []string, args ...string) service {
	t.Helper()
	dir := t.TempDir()
	s := service{notes: filepath.Join(dir, "notes")}
	pidfile := filepath.Join(t.TempDir(), "run", "program.pid")
	s.Brood = m.StartWith(t, harness.Options{
		Program: path, Dir: dir, PIDFile: pidfile, Args: append([]string{"--pidfile", pidfile}, args...),
		Env: append(environ, "NOTES="+s.notes),
	})
	return s
}

// noted are the notes that begin with a word.
func (s service) noted(word string) []string {
	var found []string
	for line := range strings.Lines(harness.Content(s.notes)) {
		if strings.HasPrefix(line, word) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// count is how many notes have all the words.
func (s service) count(words ...string) (n int) {
	for line := range strings.Lines(harness.Content(s.notes)) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			n++
		}
	}
	return n
}

// await waits for a number of notes.
func (s service) await(t *testing.T, n int, words ...string) {
	t.Helper()
	if !harness.Within(harness.Fatal, func() bool { return s.count(words...) >= n || s.HasEnded() }) || s.count(words...) < n {
		t.Fatalf("%d notes should have %q; there are:\n%sand it said:\n%s", n, words, harness.Content(s.notes), s.Stderr)
	}
}

// once checks that Prepare and Finish have run once each.
func (s service) once(t *testing.T) {
	t.Helper()
	for _, word := range []string{"prepare", "finish"} {
		if got := s.noted(word); len(got) != 1 {
			t.Errorf("%s has run %d times: %q", word, len(got), got)
		}
	}
}
