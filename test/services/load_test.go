package services_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// clients is how many connections wrk has at a time.
const clients = 16

// load is a wrk that asks as fast as it can until it is ended.
type load struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// tally is what wrk has seen.
type tally struct{ requests, connect, read, write, timeout, status int }

func (c tally) lost() int { return c.connect + c.read + c.write + c.timeout + c.status }

func startWrk(t *testing.T, url string, keepAlive bool) *load {
	t.Helper()
	args := []string{"-t2", "-c" + strconv.Itoa(clients), "-d5m", "--timeout", "20s"}
	if !keepAlive {
		args = append(args, "-H", "Connection: close")
	}
	l := &load{cmd: exec.CommandContext(t.Context(), harness.Need(t, "wrk"), append(args, url)...)}
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

// end has wrk say what it has counted.
func (l *load) end(t *testing.T) tally {
	t.Helper()
	if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Wait(); err != nil {
		t.Fatalf("wrk: %v\n%s", err, &l.out)
	}
	number := func(pattern string) int {
		found := regexp.MustCompile(pattern).FindSubmatch(l.out.Bytes())
		if found == nil {
			return 0 // wrk leaves out what has not happened
		}
		n, err := strconv.Atoi(string(found[1]))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	c := tally{
		requests: number(`(\d+) requests in`), connect: number(`connect (\d+),`), read: number(`read (\d+),`),
		write: number(`write (\d+),`), timeout: number(`timeout (\d+)`), status: number(`Non-2xx or 3xx responses: (\d+)`),
	}
	t.Logf("wrk: %+v", c)
	if c.requests < 10*clients {
		t.Errorf("hardly any load: %s", &l.out)
	}
	return c
}

func verb(t *testing.T, b *harness.Brood, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Fatal)
	defer cancel()
	if out, err := exec.CommandContext(ctx, harness.Binary(), append(words, "--pidfile", b.PIDFile)...).CombinedOutput(); err != nil {
		t.Errorf("brood %v: %v\n%s", words, err, out)
	}
}

// untilAllReady is for workers that nobody replaces meanwhile.
func untilAllReady(t *testing.T, b *harness.Brood) { t.Helper(); until(t, b, "status") }

// until waits for a verb that ends with 0.
func until(t *testing.T, b *harness.Brood, verb string) {
	t.Helper()
	harness.Until(t, "brood "+verb+" ends with 0", func() bool {
		return exec.CommandContext(t.Context(), harness.Binary(), verb, "--pidfile", b.PIDFile).Run() == nil
	})
}

// change reloads the workers and scales them. Two reloads replace both of two.
func change(t *testing.T, b *harness.Brood) {
	t.Helper()
	verb(t, b, "reload")
	verb(t, b, "scale", "3")
	untilAllReady(t, b)
	verb(t, b, "scale", "1")
	harness.Until(t, "slot 3 is gone", func() bool { return harness.Content(b.SlotFile("3")) == "" })
	verb(t, b, "scale", "2")
	untilAllReady(t, b)
	verb(t, b, "reload")
}

// recycle waits until brood has replaced what has got too old or too big.
func recycle(t *testing.T, b *harness.Brood) {
	t.Helper()
	harness.Until(t, "both are replaced", func() bool { return b.Stderr.Count("worker replaced", "cause=max-") > 1 })
}

// killEach takes the workers' processes away, without a warning.
func killEach(t *testing.T, b *harness.Brood) {
	t.Helper()
	for _, slot := range []int{1, 2} {
		before := b.Slot(slot)
		if err := harness.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.SlotAfter(slot, before)
		untilAllReady(t, b)
	}
}

// trial is a service under a load while something happens to its workers.
type trial struct {
	flags     []string
	command   []string
	keepAlive bool
	happens   func(*testing.T, *harness.Brood)
	reloaded  int // workers that are replaced by reloads meanwhile
	mostLost  int
}

func (x trial) run(t *testing.T, address string) {
	t.Helper()
	args := append([]string{"-n2", "--restart-backoff=1ms..10ms", "--expand-args"}, x.flags...)
	b := harness.Mode{}.StartWith(t, harness.Options{
		Args: append(append(args, "--"), x.command...), Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
	})
	until(t, b, "health")
	l := startWrk(t, "http://"+address+"/", x.keepAlive)
	<-time.After(200 * time.Millisecond) // of load before anything happens
	x.happens(t, b)
	if lost := l.end(t).lost(); lost > x.mostLost {
		t.Errorf("%d requests were lost, at most %d should be\n%s\n%s", lost, x.mostLost, &l.out, b.Stderr)
	}
	b.Stop(t, 0)
	if n := b.Stderr.Count("worker replaced", "cause=reload"); n != x.reloaded {
		t.Errorf("reloads have replaced %d workers, want %d:\n%s", n, x.reloaded, b.Stderr)
	}
}

// gunicorn takes brood's socket by LISTEN_FDS, says READY=1, and ends on SIGTERM
// with what it has accepted answered. Killed, it leaves its worker, which gets
// SIGTERM from brood and ends as well.
func TestGunicornLosesNoRequestUnderLoad(t *testing.T) {
	harness.Need(t, "wrk")
	gunicorn := harness.Need(t, "gunicorn")
	app, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]trial{
		"changed":  {happens: change, reloaded: 4},
		"recycled": {happens: recycle, flags: []string{"--max-age", "1s"}},
		"killed":   {happens: killEach},
	} {
		t.Run(name, func(t *testing.T) {
			address := fmt.Sprintf("127.0.0.1:%d", harness.Ports(t, 1))
			x.flags = append(x.flags, "--listen", "tcp://"+address, "--ready", "notify")
			x.command = []string{gunicorn, "--chdir", app, "--workers", "1", "--no-sendfile", "--worker-tmp-dir", t.TempDir(), "app:app"}
			x.run(t, address)
		})
	}
}

// nginx takes brood's socket by its own variable, which it is made for passing
// sockets to its next binary by, and ends on SIGQUIT with what it has accepted
// answered. A connection that is kept alive is closed between two requests
// then, and if the next one is on its way it is lost: HTTP has no word for that.
// A killed nginx leaves its worker, whose SIGTERM ends it at once.
func TestNginxLosesNoRequestUnderLoad(t *testing.T) {
	harness.Need(t, "wrk")
	nginx := harness.Need(t, "nginx")
	const connectionsCut = 20 * clients // each end of a worker cuts those that it has, at most
	for name, x := range map[string]trial{
		"changed":    {happens: change, reloaded: 4},
		"recycled":   {happens: recycle, flags: []string{"--max-rss", "1MiB"}},
		"kept alive": {happens: change, reloaded: 4, keepAlive: true, mostLost: connectionsCut},
		"killed":     {happens: killEach, mostLost: connectionsCut},
	} {
		t.Run(name, func(t *testing.T) {
			dir, port := t.TempDir(), harness.Ports(t, 1)
			address := fmt.Sprintf("127.0.0.1:%d", port)
			x.flags = append(x.flags, "--listen", "tcp://"+address+",nonblock", "--env", "NGINX=3;", "--stop-signal", "QUIT", "--ready", "300ms")
			x.command = []string{
				nginx, "-e", "stderr", "-c", configureNginx(t, dir, port), "-g", "daemon off; pid " + dir + "/nginx.{slot}.pid;",
			}
			x.run(t, address)
		})
	}
}

// Of many who wait for a connection on one blocking socket all but the first
// would hang in accept, and with them all that they serve.
func TestNginxNeverWaitsForAConnectionThatAnotherOneHasTaken(t *testing.T) {
	nginx := harness.Need(t, "nginx")
	dir, port := t.TempDir(), harness.Ports(t, 1)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	b := harness.Mode{}.Start(t, "-n4", "--listen", fmt.Sprintf("tcp://127.0.0.1:%d,nonblock", port), "--env", "NGINX=3;", "--expand-args", "--ready", "300ms",
		"--", nginx, "-e", "stderr", "-c", configureNginx(t, dir, port), "-g", "daemon off; pid "+dir+"/nginx.{slot}.pid;")
	untilAllReady(t, b)
	for range 100 {
		get(t, url)
		<-time.After(10 * time.Millisecond) // for all to wake, look, and wait again
		for _, p := range harness.Descendants(b.PID) {
			// It may be in accept for a moment, but not for ever.
			harness.Until(t, fmt.Sprintf("process %d waits for events", p.PID), func() bool {
				return harness.Content(fmt.Sprintf("/proc/%d/wchan", p.PID)) != "inet_csk_accept"
			})
		}
	}
	b.Stop(t, 0)
}
