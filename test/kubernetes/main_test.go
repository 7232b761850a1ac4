package kubernetes_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/brood-init/brood/test/internal/guard"
)

const script = "../../scripts/kubernetes.sh"

// scratch is the directory of this run: programs, and the cluster's files.
var scratch string

func clusterDir() string { return filepath.Join(scratch, "cluster") }

func TestMain(m *testing.M) {
	os.Exit(guard.Run(func(dir string) int {
		scratch = dir
		code := m.Run()
		if err := writeResults(code); err != nil {
			fmt.Fprintln(os.Stderr, "cannot write the results:", err)
			return 1
		}
		return code
	}, func(dir string) {
		scratch = dir
		if _, err := os.Stat(clusterDir()); err != nil {
			return
		}
		if out, err := exec.Command(script, "stop", clusterDir()).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "the cluster was not stopped: %v\n%s", err, out)
		}
	}))
}
