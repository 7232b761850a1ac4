// Package examples_test runs the examples that are Go programs on package
// service as real processes. Those for other languages run in containers, in
// package docker_test.
package examples_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(built{m}) }

// programs is where the examples are, built.
var programs string

type built struct{ *testing.M }

// Run builds the examples before the tests.
func (b built) Run() int {
	var err error
	if programs, err = os.MkdirTemp("", "examples-test-"); err == nil {
		defer os.RemoveAll(programs)
		for _, name := range []string{"server", "queue"} {
			if err == nil {
				err = harness.Build(filepath.Join(programs, name), "github.com/brood-init/brood/examples/"+name)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot build the examples:", err)
		return 1
	}
	return b.M.Run()
}

func start(t *testing.T, m harness.Mode, name string, env []string, args ...string) *harness.Brood {
	t.Helper()
	pidfile := filepath.Join(t.TempDir(), "run", name+".pid")
	return m.StartWith(t, harness.Options{
		Program: filepath.Join(programs, name), PIDFile: pidfile, Env: env,
		Args: append([]string{"--pidfile", pidfile}, args...),
	})
}

// get asks over a connection of its own.
func get(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

func TestTheServerReloadsWithoutALostRequestAndCleansUp(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		tmp := t.TempDir()
		port, metrics := harness.Ports(t, 1), harness.Ports(t, 1)
		b := start(t, m, "server", []string{"TMPDIR=" + tmp}, "-n2",
			fmt.Sprintf("--listen=web=tcp://127.0.0.1:%d", port), fmt.Sprintf("--metrics-addr=127.0.0.1:%d", metrics), "--ready=200ms")
		url := fmt.Sprintf("http://127.0.0.1:%d/", port)
		harness.Until(t, "it answers", func() bool { _, err := get(url); return err == nil })
		harness.Until(t, "all are ready", func() bool { _, err := get(fmt.Sprintf("http://127.0.0.1:%d/readyz", metrics)); return err == nil })
		b.Signal(syscall.SIGHUP)
		asked := 0
		harness.Until(t, "all are replaced", func() bool {
			answer, err := get(url)
			asked++
			if err != nil || !strings.HasPrefix(answer, "hello from one of 2 workers: slot=") {
				t.Errorf("request %d got %q, %v", asked, answer, err)
			}
			return b.Stderr.Count("msg=reloaded") == 1
		})
		page, err := get(fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics))
		if err != nil || !strings.Contains(page, `brood_worker_exits_total{reason="stopped",worker="1"} 1`) {
			t.Errorf("the page of metrics should tell of the reload: %v", err)
		}
		b.Stop(t, 0)
		if left, _ := filepath.Glob(filepath.Join(tmp, "server-*")); len(left) != 0 {
			t.Errorf("Finish has left %q", left)
		}
	})
}

func TestEachJobIsDoneOnceWhoeverIsKilled(t *testing.T) {
	const jobs = 300
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "new"), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range jobs {
			if err := os.WriteFile(filepath.Join(dir, "new", fmt.Sprint("job-", i)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b := start(t, m, "queue", nil, "-n3", "--metrics-addr=none", "--restart-backoff=1ms..10ms", "--", dir)
		done := func() []os.DirEntry {
			files, _ := os.ReadDir(filepath.Join(dir, "done"))
			return files
		}
		harness.Until(t, "work has begun", func() bool { return len(done()) > 0 })
		_ = harness.Kill(b.Slot(2), syscall.SIGKILL)
		harness.Until(t, "all is done", func() bool { return len(done()) == jobs })
		b.Stop(t, 0)
		for _, file := range done() {
			text := harness.Content(filepath.Join(dir, "done", file.Name()))
			// A process that was killed may have written its line before the end.
			if n := strings.Count(text, "done by slot"); n < 1 || n > 2 {
				t.Errorf("%s: %q", file.Name(), text)
			}
		}
		if n := b.Stderr.Count("leader=true"); n != 1 {
			t.Errorf("%d leaders", n)
		}
	})
}
