package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// debian is the image that the examples are made from.
var debian = sync.OnceValue(func() error {
	if err := engine(); err != nil {
		return err
	}
	if out, err := exec.Command("../../scripts/docker-standins.sh", "debian").CombinedOutput(); err != nil {
		return errors.New(strings.TrimSpace(string(out)))
	}
	return nil
})

// buildExample builds an example's own Dockerfile, with the brood under test.
func buildExample(t testing.TB, name string) string {
	t.Helper()
	brood := need(t)
	if err := debian(); err != nil {
		harness.Missing(t, "%v", err)
	}
	tag := thisRun + ":" + name
	ctx, cancel := context.WithTimeout(t.Context(), buildPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, dockerCLI(), "build", "--network", "host", "--label", "brood.test="+thisRun,
		"--build-arg", "BROOD="+brood, "--tag", tag, filepath.Join("../../examples", name))
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build examples/%s: %v: %s", name, err, out)
	}
	return tag
}

// address is the container's on the engine's network.
func (c *container) address() string {
	c.t.Helper()
	return docker(c.t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", c.name)
}

// Every example serves, names both its workers, is scraped, loses no request in
// a reload where its workers share a socket, and stops with 0 in time.
func TestExamplesServeReloadAndStop(t *testing.T) {
	overHTTP := func(c *container) func() string {
		url := "http://" + c.address() + ":8080/"
		return func() string { return get(url) }
	}
	for _, e := range []struct {
		name    string
		flags   string
		ask     func(*container) func() string
		want    string // is in every answer
		allAre  bool   // each worker is seen to answer
		workers int
		lossy   bool // a request may be cut off by a reload
	}{
		{name: "python", ask: overHTTP, want: "slot=", workers: 2, flags: "--read-only --tmpfs /tmp"},
		{name: "nginx", ask: overHTTP, want: "nginx pid=", workers: 2, flags: "--read-only --tmpfs /tmp"},
		{name: "node", ask: overHTTP, want: "slot=", workers: 2, flags: "--read-only --tmpfs /tmp"},
		{name: "php-fpm", ask: overFastCGI, want: "slot=", workers: 2, flags: "--read-only --tmpfs /tmp"},
		{name: "router", ask: overHTTP, want: "slot=", allAre: true, workers: 3, lossy: true},
	} {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			image := buildExample(t, e.name)
			c := runImage(t, image, fmt.Sprintf("--network bridge --env BROOD_PROCESSES=%d %s", e.workers, e.flags), "")
			ask := e.ask(c)
			until(t, "it answers", func() bool { return strings.Contains(ask(), e.want) })
			until(t, "all workers are ready", func() bool {
				_, err := tryDocker("exec", c.name, "brood", "health")
				return err == nil
			})
			if e.allAre {
				seen := make(map[string]bool)
				until(t, "all workers answer", func() bool {
					slot, _, _ := strings.Cut(ask(), " ")
					seen[slot] = true
					return len(seen) >= e.workers
				})
			}
			page := get("http://" + c.address() + ":9180/metrics")
			if n := strings.Count(page, "\nbrood_worker_up{"); n != e.workers {
				t.Errorf("the page of metrics is about %d workers, want %d", n, e.workers)
			}
			asked, lost := during(ask, func() { c.exec("brood", "reload") })
			t.Logf("%d of %d requests were lost in a reload", lost, asked)
			if asked == 0 || lost > 0 && !e.lossy {
				t.Errorf("%d of %d requests were lost in a reload", lost, asked)
			}
			c.await(1, "msg=reloaded", fmt.Sprintf("replaced=%d of=%d", e.workers, e.workers))
			until(t, "it answers", func() bool { return strings.Contains(ask(), e.want) })
			c.stops(0)
			c.wants(1, "msg=exiting", "code=0", "reason=requested")
			c.wants(0, "level=ERROR")
		})
	}
}

// overFastCGI asks by the example's own client, one process for each request.
func overFastCGI(c *container) func() string {
	return func() string {
		page, _ := tryDocker("exec", "--env", "SCRIPT_FILENAME=/app/index.php", "--env", "REQUEST_METHOD=GET",
			c.name, "cgi-fcgi", "-bind", "-connect", "127.0.0.1:9000")
		return page
	}
}

// during asks again and again while something is done.
func during(ask func() string, do func()) (asked, lost int) {
	var over atomic.Bool
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for deadline := time.Now().Add(harness.Fatal); !over.Load() && time.Now().Before(deadline); {
			asked++
			if ask() == "" {
				lost++
			}
		}
	}()
	do()
	over.Store(true)
	<-counted
	return asked, lost
}

func TestTheBatchExampleCompletes(t *testing.T) {
	t.Parallel()
	image := buildExample(t, "batch")
	c := runImage(t, image, "--read-only --tmpfs /tmp", "")
	c.ends(0)
	c.wants(1, "words: 12")
	c.wants(1, "msg=exiting", "code=0", "reason=completed")
}
