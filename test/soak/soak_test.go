package soak_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// lengthVariable says for how long it goes on.
const lengthVariable = "BROOD_TEST_SOAK"

func length() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(lengthVariable)); err == nil {
		return d
	}
	return 20 * time.Second
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
	address string
	group   string
	cpus    int       // that the group has
	follows time.Time // until when nobody scales by hand
	done    map[string]int
	sizes   []size
}

// Each process that ends as brood's child is told of by brood exactly once, as
// what it was and with the kernel's code, and brood stays as small as it was.
func TestNothingIsLostAndNothingGrows(t *testing.T) {
	if os.Getenv(lengthVariable) == "" && !harness.Full() {
		t.Skipf("nothing can be soaked in a moment: %s=20s says for how long", lengthVariable)
	}
	t.Parallel()
	harness.Need(t, "setsid")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	final := filepath.Join(t.TempDir(), "final.prom")
	r := &run{t: t, address: freeAddress(t), group: harness.CPUGroup(t, 2), cpus: 2, done: map[string]int{}}
	o := observe(t)
	r.b = harness.Mode{}.StartWith(t, harness.Options{
		Stdout: null,
		Stage:  harness.Stage{Group: r.group},
		Args: []string{
			"-nauto", "--log-level=debug", "--output=prefix", "--metrics-addr", r.address, "--final-metrics", final, "--leftovers=keep",
			"--restart=always", "--restart-backoff=10ms..50ms", "--max-restarts=100000/1s", "--ready=exec:true", "--live=exec:true",
			"--on-worker-exit=true", "--finish=true", "--prepare=true", "--", self, asToiler,
		},
	})
	r.b.WaitRunning(1)
	r.verb("scale", strconv.Itoa(most)) // each slot has its series from here on
	r.b.WaitRunning(most)
	r.work(time.Now().Add(length()))
	r.wantNoGrowth()
	harness.Until(t, "all is quiet", func() bool {
		return exec.Command(harness.Binary(), "status", "--pidfile", r.b.PIDFile).Run() == nil
	})
	r.b.Stop(t, 0)
	ends := o.of(r.b.PID)
	if o.lost > 0 {
		t.Fatalf("the observer itself has lost events, %d times", o.lost)
	}
	kinds := wantAllTold(t, ends, harness.Content(final))
	wantAllLogged(t, ends, kinds, r.b.Stderr.All())
	t.Logf("in %s: %v, and brood followed a limit %s times", length(), r.done, limits(harness.Content(final)))
}

// work does to it at random what happens to services, and looks how big it is.
func (r *run) work(until time.Time) {
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	began, warm := time.Now(), false
	for i := 0; time.Now().Before(until); i++ {
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
			if time.Now().Before(r.follows.Add(followed)) {
				continue
			}
			r.verb("scale", "auto")
			r.follows = time.Now().Add(followed)
			r.cpus = 3 - r.cpus
			if err := harness.LimitCPUs(r.group, r.cpus); err != nil {
				r.t.Error(err)
			}
			r.done["limits"]++
		}
		// A fifth of the time is for warming up.
		if warm = warm || time.Since(began) > length()/5; warm && i%5 == 0 {
			r.sizes = append(r.sizes, r.size())
		}
	}
}

// kill ends a child of brood's, whatever it is. One that has not yet become what
// it is started as is a failed start, and told as that.
func (r *run) kill() {
	children := r.b.Workers()
	if len(children) == 0 {
		return
	}
	pid := children[rand.IntN(len(children))]
	if p, ok := harness.Look(pid); !ok || p.Comm == "brood" || p.Comm == "exe" {
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
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
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

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// size is what must not grow.
type size struct{ fds, threads, rss, series int }

func (r *run) size() size {
	p, ok := harness.Look(r.b.PID)
	if !ok {
		r.t.Fatal("brood is gone")
	}
	threads, _ := strconv.Atoi(p.Status("Threads"))
	rss, _ := strconv.Atoi(strings.TrimSuffix(p.Status("VmRSS"), " kB"))
	text := r.page()
	_, after, _ := strings.Cut(text, "\nbrood_workers_desired ")
	line, _, _ := strings.Cut(after, "\n")
	wanted, _ := strconv.Atoi(line)
	// Each worker that is wanted has its two pipes and its pidfd.
	return size{len(harness.FDs(r.b.PID)) - 3*wanted, threads, rss, strings.Count(text, "\nbrood_")}
}

// wantNoGrowth compares the first quarter of the looks with the last: their
// least, for what is in use for a moment is no growth, and their most.
func (r *run) wantNoGrowth() {
	quarter := len(r.sizes) / 4
	if quarter == 0 {
		r.t.Fatalf("brood was looked at %d times only", len(r.sizes))
	}
	first, last := r.sizes[:quarter], r.sizes[len(r.sizes)-quarter:]
	for _, of := range []struct {
		name  string
		get   func(size) int
		grown int // more is growth
	}{
		{"file descriptors", func(s size) int { return s.fds }, 8},
		{"threads", func(s size) int { return s.threads }, 4},
		{"kB of memory", func(s size) int { return s.rss }, 6 << 10},
		{"series", func(s size) int { return s.series }, 150}, // gauges of those who run, codes that nobody had ended with
	} {
		least := func(sizes []size) int {
			return of.get(slices.MinFunc(sizes, func(a, b size) int { return of.get(a) - of.get(b) }))
		}
		most := func(sizes []size) int {
			return of.get(slices.MaxFunc(sizes, func(a, b size) int { return of.get(a) - of.get(b) }))
		}
		r.t.Logf("%s: %d to %d after warming up, %d to %d at last", of.name, least(first), most(first), least(last), most(last))
		if least(last) > least(first)+of.grown {
			r.t.Errorf("%s have grown", of.name)
		}
	}
}

// wantAllTold compares the last metrics with the kernel's account.
func wantAllTold(t *testing.T, ends []end, metrics string) (kinds map[string]int) {
	t.Helper()
	want := map[string]int{}
	for _, e := range ends {
		want["processes"]++
		if e.status.Signaled() {
			want["signal "+unix.SignalName(e.status.Signal())]++
		} else {
			want["code "+strconv.Itoa(e.status.ExitStatus())]++
		}
	}
	got := map[string]int{}
	kinds = map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^brood_reaped_(processes|exit_codes|exit_signals)_total\{\w+="(\w+)"\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		n, _ := strconv.Atoi(m[3])
		switch {
		case n == 0:
		case m[1] == "processes":
			got["processes"] += n
			kinds[m[2]] = n
		case m[1] == "exit_codes":
			got["code "+m[2]] += n
		default:
			got["signal "+m[2]] += n
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("brood has counted\n%v, and the kernel\n%v", got, want)
	}
	t.Logf("%d ends as brood's children: %v", len(ends), kinds)
	return kinds
}

// wantAllLogged finds each process in the log: workers by PID and code, hooks by
// PID, orphans by code. What is left are the probes, of which there is no line.
func wantAllLogged(t *testing.T, ends []end, kinds map[string]int, log []string) {
	t.Helper()
	workers, hooks, orphans := map[string]int{}, map[int]int{}, map[int]int{}
	logged := map[string]int{}
	for _, line := range log {
		switch {
		case strings.Contains(line, `msg="worker exited"`):
			workers[value(line, "pid")+" "+value(line, "code")]++
			logged["worker"]++
		case strings.Contains(line, `msg="hook started"`):
			pid, _ := strconv.Atoi(value(line, "pid"))
			hooks[pid]++
			logged["hook"]++
		case strings.Contains(line, `msg="orphans reaped"`):
			for _, m := range regexp.MustCompile(`(\d+):(\d+)`).FindAllStringSubmatch(codesOf(line), -1) {
				code, _ := strconv.Atoi(m[1])
				n, _ := strconv.Atoi(m[2])
				orphans[code] += n
				logged["orphan"] += n
			}
		}
	}
	for _, e := range ends {
		switch key := fmt.Sprintf("%d %d", e.pid, e.code()); {
		case workers[key] > 0:
			workers[key]--
		case hooks[e.pid] > 0 && (e.code() == 0 || e.status.Signaled()):
			hooks[e.pid]--
		case orphans[e.code()] > 0:
			orphans[e.code()]--
		case e.code() == 0 || e.status.Signaled():
			logged["probe"]++
		default:
			t.Errorf("the log does not have process %d, which has ended with %d", e.pid, e.code())
		}
	}
	for key, n := range workers {
		if n != 0 {
			t.Errorf("the log has the end of worker %s %d times more than it happened", key, n)
		}
	}
	for pid, n := range hooks {
		if n != 0 {
			t.Errorf("the log has a hook with PID %d that never ended", pid)
		}
	}
	for code, n := range orphans {
		if n != 0 {
			t.Errorf("the log has %d orphans more with code %d than there were", n, code)
		}
	}
	// The log may drop a line when it is flooded, the metrics never do; a missing
	// line about orphans makes probes of them here.
	missing := kinds["orphan"] - logged["orphan"]
	logged["orphan"], logged["probe"] = logged["orphan"]+missing, logged["probe"]-missing
	if missing < 0 || !maps.Equal(logged, kinds) {
		t.Errorf("the log has %v and %d orphans are missing in it, and the last metrics %v", logged, missing, kinds)
	}
}

// limits is how often brood has followed one.
func limits(metrics string) string {
	_, after, _ := strings.Cut(metrics, "brood_scalings_total{cause=\"limits\"} ")
	n, _, _ := strings.Cut(after, "\n")
	return n
}

// value is that of a key in a line of the log, without quotation marks.
func value(line, key string) string {
	_, after, _ := strings.Cut(line, " "+key+"=")
	word, _, _ := strings.Cut(after, " ")
	return word
}

// codesOf is the list of codes in a line about orphans.
func codesOf(line string) string {
	_, after, _ := strings.Cut(line, " codes=")
	before, _, _ := strings.Cut(after, " slots=")
	return before
}
