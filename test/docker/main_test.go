package docker_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The guard is this program again, with the run's name in this variable.
const guardVariable = "BROOD_TEST_GUARD"

// thisRun names all that these tests make.
var thisRun = fmt.Sprintf("brood-test-%d", os.Getpid())

func TestMain(m *testing.M) {
	if run := os.Getenv(guardVariable); run != "" {
		guard(run)
		return
	}
	code, err := guarded(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		code = 1
	}
	os.Exit(code)
}

// guarded runs the tests with a guard beside them, which sees them end because
// its stdin does.
func guarded(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", thisRun+"-")
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	scratch.dir = dir
	watch := exec.Command(self)
	watch.Env = append(os.Environ(), guardVariable+"="+thisRun, "BROOD_TEST_DIR="+dir)
	watch.Stdout, watch.Stderr = os.Stdout, os.Stderr
	watch.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no Ctrl-C
	stdin, err := watch.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := watch.Start(); err != nil {
		return 0, err
	}
	code := run()
	_ = stdin.Close()
	return code, watch.Wait()
}

// guard waits until the tests have ended, and removes what they have left.
func guard(run string) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	dir := os.Getenv("BROOD_TEST_DIR")
	engineDir := filepath.Join(dir, "engine")
	if socket := filepath.Join(engineDir, "docker.sock"); exists(socket) {
		_ = os.Setenv("DOCKER_HOST", "unix://"+socket)
	}
	for _, label := range []string{"brood.test=" + run, "com.docker.compose.project=" + run} {
		removeAll(label, []string{"ps", "-aq"}, []string{"rm", "-f", "-v"})
		removeAll(label, []string{"network", "ls", "-q"}, []string{"network", "rm"})
		removeAll(label, []string{"images", "-q"}, []string{"rmi", "-f"})
	}
	if exists(engineDir) {
		stop := exec.Command("../../scripts/docker-engine.sh", "stop", engineDir)
		if out, err := stop.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "the engine was not stopped: %v\n%s", err, out)
		}
	}
	_ = os.RemoveAll(dir)
}

func removeAll(label string, list, remove []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, dockerCLI(), append(list, "--filter", "label="+label)...).Output()
	ids := strings.Fields(string(out))
	if err != nil || len(ids) == 0 {
		return
	}
	if out, err := exec.CommandContext(ctx, dockerCLI(), append(remove, ids...)...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "docker %s: %v\n%s", remove, err, out)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
