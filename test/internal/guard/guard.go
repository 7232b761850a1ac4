// Package guard removes what tests have made outside of their own process, in
// whatever way they end: a second process waits for the end of the first.
package guard

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// The guard is the test program again, with its directory in this variable.
const variable = "BROOD_TEST_GUARDED"

// Run runs the tests with a new directory that is removed after them, and before
// that calls clean with it, in another process that a Ctrl-C does not reach. It
// returns the exit code.
func Run(run func(dir string) int, clean func(dir string)) int {
	if dir := os.Getenv(variable); dir != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		clean(dir)
		_ = os.RemoveAll(dir)
		return 0
	}
	code, err := guarded(run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot guard the tests:", err)
		return 1
	}
	return code
}

func guarded(run func(dir string) int) (int, error) {
	dir, err := os.MkdirTemp("", "brood-test-")
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	watch := exec.Command(self)
	watch.Env = append(os.Environ(), variable+"="+dir)
	watch.Stdout, watch.Stderr = os.Stdout, os.Stderr
	watch.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no Ctrl-C
	stdin, err := watch.StdinPipe()                        // ends with this process
	if err != nil {
		return 0, err
	}
	if err := watch.Start(); err != nil {
		return 0, err
	}
	code := run(dir)
	_ = stdin.Close()
	return code, watch.Wait()
}
