package life_test

import (
	"os/exec"
	"strconv"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// startBeside starts a process in brood's namespaces that is no descendant of
// it, as docker exec does. It is killed when the test ends.
func startBeside(t *testing.T, b *harness.Brood, argv ...string) *exec.Cmd {
	t.Helper()
	return startBesideWith(t, b, nil, argv...)
}

func startBesideWith(t *testing.T, b *harness.Brood, env []string, argv ...string) *exec.Cmd {
	t.Helper()
	if b.PID1 {
		// nsenter forks, and the fork is the one inside.
		nsenter := []string{harness.Need(t, "nsenter"), "--target", strconv.Itoa(b.PID), "--pid", "--mount"}
		argv = append(nsenter, argv...)
	}
	cmd := exec.Command("/usr/bin/env", append(append([]string{"-i", "PATH=" + harness.Path()}, env...), argv...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}
