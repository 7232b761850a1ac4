package reaper_test

import (
	"errors"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/reaper"
)

// fatalWait is how long anything may take before a test fails; it is polled up
// to, never slept.
const fatalWait = 30 * time.Second

func TestMain(m *testing.M) {
	// Orphans of the tests' children come to this process as they come to PID 1.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// harness runs one Reaper for a test and checks that nothing is left after it.
type harness struct {
	*reaper.Reaper
	t      *testing.T
	exits  chan reaper.Exit
	starts chan func() // for the starting thread

	mu      sync.Mutex
	orphans reaper.Orphans
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, exits: make(chan reaper.Exit, 4096), starts: make(chan func())}
	h.Reaper = reaper.New(reaper.Options{Orphans: h.addOrphans})
	reaper.StartingThread(func() {
		for start := range h.starts {
			start()
		}
	})
	sigchld := make(chan os.Signal, 1)
	signal.Notify(sigchld, syscall.SIGCHLD)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		h.Run(sigchld, stop)
	}()
	t.Cleanup(func() {
		h.eventually("no child is left", func() bool { return !h.HasChildren() })
		close(stop)
		<-stopped
		signal.Stop(sigchld)
		close(h.starts)
		goleak.VerifyNone(t, goleak.IgnoreAnyFunction("os/signal.loop"))
	})
	return h
}

// Start is the Reaper's from any goroutine.
func (h *harness) Start(spec reaper.Spec) error {
	done := make(chan error)
	h.starts <- func() { done <- h.Reaper.Start(spec) }
	return <-done
}

func (h *harness) addOrphans(o reaper.Orphans) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.orphans.Count += o.Count
	for code, n := range o.Codes {
		if h.orphans.Codes == nil {
			h.orphans.Codes = make(map[int]int)
		}
		h.orphans.Codes[code] += n
	}
	for family, n := range o.Families {
		if h.orphans.Families == nil {
			h.orphans.Families = make(map[int]int)
		}
		h.orphans.Families[family] += n
	}
}

func (h *harness) orphanCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.orphans.Count
}

// start runs a shell script and returns its process.
func (h *harness) start(script string, exited func(reaper.Exit)) *reaper.Process {
	h.t.Helper()
	var started *reaper.Process
	err := h.Start(reaper.Spec{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(),
		Stdin: 0, Stdout: 1, Stderr: 2,
		Started: func(p *reaper.Process, _ time.Time) { started = p },
		Exited:  exited,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return started
}

func (h *harness) run(script string) *reaper.Process {
	h.t.Helper()
	return h.start(script, func(x reaper.Exit) { h.exits <- x })
}

func (h *harness) next() reaper.Exit {
	h.t.Helper()
	select {
	case x := <-h.exits:
		return x
	case <-time.After(fatalWait):
		h.t.Fatal("no exit was delivered")
		return reaper.Exit{}
	}
}

func (h *harness) eventually(what string, is func() bool) {
	h.t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	deadline := time.After(fatalWait)
	for !is() {
		select {
		case <-poll.C:
		case <-deadline:
			h.t.Fatalf("it never came about that %s", what)
		}
	}
}

func TestHowAProcessEnded(t *testing.T) {
	for _, test := range []struct {
		script string
		want   reaper.Status
		code   int
	}{
		{"exit 0", reaper.Status{}, 0},
		{"exit 7", reaper.Status{Code: 7}, 7},
		{"exit 255", reaper.Status{Code: 255}, 255},
		{"kill -TERM $$", reaper.Status{Signal: syscall.SIGTERM}, 143},
		{"kill -KILL $$", reaper.Status{Signal: syscall.SIGKILL}, 137},
	} {
		t.Run(test.script, func(t *testing.T) {
			h := newHarness(t)
			h.run(test.script)
			got := h.next()
			if got.Status != test.want || got.ExitCode() != test.code {
				t.Errorf("got %+v, code %d; want %+v, code %d", got.Status, got.ExitCode(), test.want, test.code)
			}
		})
	}
}

func TestAnExitNeverComesBeforeItsStart(t *testing.T) {
	h := newHarness(t)
	for range 200 {
		var order []string
		var mu sync.Mutex
		note := func(what string) { mu.Lock(); order = append(order, what); mu.Unlock() }
		done := make(chan struct{})
		err := h.Start(reaper.Spec{
			Path: "/bin/true", Args: []string{"true"}, Stdout: 1, Stderr: 2,
			Started: func(p *reaper.Process, _ time.Time) {
				// Wait until it is dead: the exit is there and must be held back.
				h.eventually("the process has ended", func() bool {
					return p.Signal(0) != nil
				})
				note("started")
			},
			Exited: func(reaper.Exit) { note("exited"); close(done) },
		})
		if err != nil {
			t.Fatal(err)
		}
		<-done
		if len(order) != 2 || order[0] != "started" {
			t.Fatalf("order was %v", order)
		}
	}
}

func TestAStartThatFailsLeavesNoProcessAndNamesTheReason(t *testing.T) {
	h := newHarness(t)
	called := func(reaper.Exit) { t.Error("Exited was called for a process that never was") }
	for path, want := range map[string]error{
		"/nowhere/at/all": syscall.ENOENT,
		"/etc/passwd":     syscall.EACCES,
		"/":               syscall.EACCES,
	} {
		err := h.Start(reaper.Spec{Path: path, Args: []string{path}, Stdout: 1, Stderr: 2, Exited: called})
		if !errors.Is(err, want) {
			t.Errorf("starting %s: %v, want %v", path, err, want)
		}
	}
}

func TestOrphansAreReapedAndNotTakenForChildren(t *testing.T) {
	h := newHarness(t)
	h.run("(exit 3) & (exit 4) & exec sleep 0.05")
	if x := h.next(); !x.Success() {
		t.Errorf("the child's own exit is %+v", x.Status)
	}
	h.eventually("two orphans are reaped", func() bool { return h.orphanCount() == 2 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.orphans.Codes[3] != 1 || h.orphans.Codes[4] != 1 {
		t.Errorf("codes of the orphans: %v", h.orphans.Codes)
	}
}

func TestAGroupOutlivesItsLeaderAndIsFoundEmptyLater(t *testing.T) {
	h := newHarness(t)
	p := h.run("sleep 100 & exit 5")
	x := h.next()
	if !x.GroupAlive || x.Code != 5 {
		t.Fatalf("exit is %+v, want code 5 with the group alive", x)
	}
	if err := p.Signal(0); !errors.Is(err, reaper.ErrEnded) {
		t.Errorf("signalling the reaped leader: %v, want ErrEnded", err)
	}
	if err := p.SignalGroup(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.eventually("the group is gone", func() bool { return !p.GroupAlive() })
	if err := p.SignalGroup(syscall.SIGTERM); !errors.Is(err, reaper.ErrEnded) {
		t.Errorf("signalling an empty group: %v, want ErrEnded", err)
	}
}

func TestTheFinalFiguresAreTheProcessOwn(t *testing.T) {
	h := newHarness(t)
	h.run("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
	x := h.next()
	if x.Final.UserTicks+x.Final.SystemTicks == 0 {
		t.Errorf("a process that counted to 300000 is said to have used no CPU: %+v", x.Final)
	}
	if x.Final.PID != x.PID || x.Final.Comm != "sh" {
		t.Errorf("figures of %d %q, want those of %d sh", x.Final.PID, x.Final.Comm, x.PID)
	}
}

func TestSignalAllCountsWhoTookIt(t *testing.T) {
	h := newHarness(t)
	var all []*reaper.Process
	for range 5 {
		all = append(all, h.run("exec sleep 100"))
	}
	ended := h.run("exit 0")
	h.next()
	if n := h.SignalAll(append(all, ended), syscall.SIGTERM, false); n != 5 {
		t.Errorf("%d took the signal, want 5", n)
	}
	for range 5 {
		if x := h.next(); x.Signal != syscall.SIGTERM {
			t.Errorf("ended with %+v", x.Status)
		}
	}
}

// A storm: owned exits with all codes beside many more orphans. Any theft or
// mix-up shows as a wrong code or a count that is off.
func TestAStormLosesAndMixesUpNothing(t *testing.T) {
	owned, orphansEach := 400, 5
	if n, err := strconv.Atoi(os.Getenv("BROOD_TEST_STORM")); err == nil {
		owned = n
	}
	h := newHarness(t)
	var wg sync.WaitGroup
	var wrong sync.Map
	limit := make(chan struct{}, 32)
	for i := range owned {
		limit <- struct{}{}
		wg.Add(1)
		code := i % 256
		script := "i=0; while [ $i -lt " + strconv.Itoa(orphansEach) + " ]; do ( (exit 77) & ); i=$((i+1)); done; exit " + strconv.Itoa(code)
		h.start(script, func(x reaper.Exit) {
			if x.Code != code || x.Signal != 0 {
				wrong.Store(i, x.Status)
			}
			<-limit
			wg.Done()
		})
	}
	wg.Wait()
	wrong.Range(func(i, status any) bool { t.Errorf("process %v ended with %+v", i, status); return true })
	h.eventually("all orphans are reaped", func() bool { return !h.HasChildren() && h.orphanCount() > 0 })
	h.eventually("the orphans are counted", func() bool { return h.orphanCount() == owned*orphansEach })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.orphans.Codes[77] != owned*orphansEach {
		t.Errorf("orphans by code: %v, want all with 77", h.orphans.Codes)
	}
}
