package reaper_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/reaper"
)

// syscall.ForkExec moves a pipe of its own to the first number above stdin,
// stdout and stderr, whatever is there.
func TestWhatAProcessIsToHaveIsNotOverwrittenAboveItsStandardDescriptors(t *testing.T) {
	for _, gap := range []int{1, 2, 3} {
		for _, inherited := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d above, inherited %t", gap, inherited), func(t *testing.T) {
				h := newHarness(t)
				stdin := openAt(t, os.DevNull, unix.O_CLOEXEC, 200)
				file := t.TempDir() + "/file"
				if err := os.WriteFile(file, []byte("hello\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				flags := 0
				if inherited {
					flags = unix.O_CLOEXEC
				}
				fd := openAt(t, file, flags, stdin+gap)
				spec := reaper.Spec{
					Path: "/bin/sh", Args: []string{"sh", "-c", fmt.Sprintf(`read -r line < /proc/self/fd/%d && [ "$line" = hello ]`, fd)},
					Stdin: stdin, Stdout: 1, Stderr: 2,
					Exited: func(x reaper.Exit) { h.exits <- x },
				}
				if inherited {
					spec.Inherit = []int{fd}
				}
				if err := h.Start(spec); err != nil {
					t.Fatal(err)
				}
				if x := h.next(); x.Code != 0 {
					t.Errorf("it does not have descriptor %d: %+v", fd, x.Status)
				}
			})
		}
	}
}

// openAt opens a file as descriptor number at.
func openAt(t *testing.T, path string, flags, at int) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(fd, at, flags); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
	t.Cleanup(func() { _ = unix.Close(at) })
	return at
}
