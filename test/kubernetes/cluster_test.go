package kubernetes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

const (
	// patience is how long one command may take.
	patience = 2 * time.Minute
	// long is how long something may take to come about in the cluster, on a
	// machine that is busy.
	long = 90 * time.Second
)

// cluster starts the cluster and loads the images.
var cluster = sync.OnceValue(func() error {
	cache := os.Getenv("BROOD_TEST_KUBERNETES")
	start := exec.Command(script, "start", clusterDir(), cache)
	if out, err := start.CombinedOutput(); err != nil {
		return fmt.Errorf("there is no cluster: %w\n%s", err, out)
	}
	for _, build := range []func(string) (string, error){pauseImage, broodImage} {
		archive, err := build(scratch)
		if err != nil {
			return err
		}
		file, err := os.Open(archive)
		if err != nil {
			return err
		}
		defer file.Close()
		load := exec.Command(script, "load", clusterDir())
		load.Stdin = file
		if out, err := load.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot load %s: %w\n%s", archive, err, out)
		}
	}
	return nil
})

// need skips the test where there is to be no cluster, and returns when there is
// one.
func need(t testing.TB) {
	t.Helper()
	if os.Getenv("BROOD_TEST_KUBERNETES") == "" {
		t.Skip("a cluster takes minutes to build: make e2e-k8s, or set BROOD_TEST_KUBERNETES to a directory for it")
	}
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can start a cluster")
	}
	if err := cluster(); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs it and returns what it wrote to stdout.
func kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := tryKubectl("", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply sends manifests.
func apply(t testing.TB, namespace, manifests string) {
	t.Helper()
	if _, err := tryKubectl(manifests, "apply", "--namespace", namespace, "--filename", "-"); err != nil {
		t.Fatalf("%v\n%s", err, manifests)
	}
}

func tryKubectl(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := beside(ctx, append([]string{"kubectl"}, args...)...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// beside is a command in the namespaces of the cluster's node.
func beside(ctx context.Context, words ...string) *exec.Cmd {
	return exec.CommandContext(ctx, script, append([]string{"run", clusterDir()}, words...)...)
}

// get asks for an object.
func get(t testing.TB, into any, args ...string) {
	t.Helper()
	out := kubectl(t, append([]string{"get", "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatal(err)
	}
}

// until polls rarely enough not to keep the machine busy with kubectl.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(long)
	defer late.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// newNamespace makes one with labels, gone after the test.
func newNamespace(t testing.TB, name string, labels ...string) string {
	t.Helper()
	kubectl(t, "create", "namespace", name)
	t.Cleanup(func() { kubectl(t, "delete", "namespace", name, "--wait=false") })
	if len(labels) > 0 {
		kubectl(t, append([]string{"label", "namespace", name}, labels...)...)
	}
	until(t, "namespace "+name+" has its account", func() bool {
		_, err := tryKubectl("", "get", "serviceaccount", "default", "--namespace", name)
		return err == nil
	})
	return name
}

// manifests is a directory of deploy/kubernetes.
func manifests(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../deploy/kubernetes/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
