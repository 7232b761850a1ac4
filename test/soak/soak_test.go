package soak_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// lengthVariable says for how long it goes on.
const lengthVariable = "BROOD_TEST_SOAK"

func length() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(lengthVariable)); err == nil {
		return d
	}
	if harness.Full() {
		return time.Minute
	}
	return 10 * time.Second
}

// most is how many workers there are at one time.
const most = 9

// followed is for how long a new limit is left to be followed: it has to stand
// for seconds before it is.
const followed = 12 * time.Second

// run is a brood that toils, and what was done to it.
type run struct {
	t       *testing.T
	b       *harness.Brood
	program string // of brood, as the kernel calls it
	address string
	group   string
	resting string
	cpus    int       // that the group has
	follows time.Time // until when nobody scales by hand
	done    map[string]int
}

// Each process that ends as brood's child is told of by brood exactly once, as
// what it was and with the kernel's code, and brood stays as small as it was.
func TestNothingIsLostAndNothingGrows(t *testing.T) {
	t.Parallel()
	harness.Need(t, "setsid")
	o := observe(t)
	final := filepath.Join(t.TempDir(), "final.prom")
	r := begin(t, final)
	r.rest()
	r.verb("reload") // each slot has an end behind it then, and all its series
	r.wake()
	// A fifth of the time is for warming up.
	r.work(time.Now().Add(length() / 5))
	before := r.rest()
	r.wake()
	r.work(time.Now().Add(length() * 4 / 5))
	r.wantNoGrowth(before, r.rest())
	if !harness.Within(patience, r.isQuiet) {
		t.Errorf("it never became quiet")
	}
	r.b.Stop(t, 0)
	if !harness.Within(patience, func() bool { return o.hasHeardOf(r.b.PID) }) { // and so of all before
		t.Fatal("the observer has not heard of brood's end")
	}
	ends := o.of(r.b.PID)
	if o.lost > 0 {
		t.Fatalf("the observer itself has lost events, %d times", o.lost)
	}
	kinds := wantAllCounted(t, ends, harness.Content(final))
	wantAllLogged(t, ends, kinds, r.b.Stderr.All())
	t.Logf("in %s: %v, and brood followed a limit %s times", length(), r.done, limits(harness.Content(final)))
}

func begin(t *testing.T, final string) *run {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r := &run{
		t: t, address: harness.Address(t), group: harness.CPUGroup(t, 2), cpus: 2, done: map[string]int{},
		resting: filepath.Join(t.TempDir(), "rest"),
	}
	r.b = harness.Mode{}.StartWith(t, harness.Options{
		Stdout: null, Patience: patience,
		Stage: harness.Stage{Group: r.group},
		Env:   []string{restVariable + "=" + r.resting},
		Args: []string{
			"-nauto", "--log-level=debug", "--output=prefix", "--metrics-addr", r.address, "--final-metrics", final, "--leftovers=keep",
			"--restart=always", "--restart-backoff=10ms..50ms", "--max-restarts=100000/1s", "--ready=exec:true", "--live=exec:true",
			"--on-worker-exit=true", "--finish=true", "--prepare=true", "--stop-timeout=25s", "--finish-timeout=10s", "--", self, asToiler,
		},
	})
	r.b.WaitRunning(1)
	if r.program, err = programOf(r.b.PID); err != nil {
		t.Fatal(err)
	}
	return r
}

func programOf(pid int) (string, error) { return os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe") }

// work does to it at random what happens to services.
func (r *run) work(until time.Time) {
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for time.Now().Before(until) {
		<-pause.C
		switch n := rand.IntN(100); {
		case n < 25:
			r.kill()
		case n < 30:
			r.b.Signal(syscall.SIGHUP)
			r.done["reloads"]++
		case n < 33:
			if time.Now().Before(r.follows) {
				continue
			}
			r.verb("scale", strconv.Itoa(2+rand.IntN(most-1)))
			r.done["scalings"]++
		case n < 36:
			r.verb("status")
			r.done["looks"]++
		case n < 46:
			r.page()
			r.done["scrapes"]++
		case n < 48:
			r.limit()
		}
	}
}

func (r *run) limit() {
	if time.Now().Before(r.follows.Add(followed)) {
		return
	}
	r.verb("scale", "auto")
	r.follows = time.Now().Add(followed)
	r.cpus = 3 - r.cpus
	if err := harness.LimitCPUs(r.group, r.cpus); err != nil {
		r.t.Error(err)
	}
	r.done["limits"]++
}

// kill ends a child of brood's, whatever it is. One that is still brood's own
// program has not become what it is started as: if that ends it is a failed
// start and no process that was reaped.
func (r *run) kill() {
	children := r.b.Workers()
	if len(children) == 0 {
		return
	}
	pid := children[rand.IntN(len(children))]
	if program, err := programOf(pid); err != nil || program == r.program {
		return
	}
	signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGHUP, syscall.SIGSEGV}[rand.IntN(4)]
	if harness.Kill(pid, signal) == nil {
		r.done["kills"]++
	}
}

func (r *run) verb(verb ...string) {
	cmd := exec.Command(harness.Binary(), slices.Insert(verb, 1, "--pidfile", r.b.PIDFile)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 { // 1 is "not all are up"
		r.t.Errorf("brood %s: %v: %s", verb, err, out)
	}
}

func (r *run) page() string {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + r.address + "/metrics")
	if err != nil {
		r.t.Errorf("a scrape: %v", err)
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Errorf("a scrape: %v", err)
	}
	return string(text)
}
