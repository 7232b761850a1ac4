package docker_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/guard"
)

// thisRun names all that these tests make; it is the name of their directory.
var thisRun string

func TestMain(m *testing.M) {
	os.Exit(guard.Run(func(dir string) int {
		scratch.dir, thisRun = dir, filepath.Base(dir)
		return m.Run()
	}, clean))
}

// clean removes what the tests with this directory have left.
func clean(dir string) {
	run := filepath.Base(dir)
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
