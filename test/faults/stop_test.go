package faults_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// A stop may find brood in the middle of anything. Whatever it was doing is
// dropped, everybody is asked, the hook runs once, and the code is 0.
func TestAStopAtAnyMomentOfATransition(t *testing.T) {
	step, last := 6*time.Millisecond, 36*time.Millisecond
	if harness.Full() {
		step, last = 250*time.Microsecond, 60*time.Millisecond
	}
	for name, transition := range map[string]struct {
		args []string
		act  func(b *harness.Brood)
	}{
		"restarts": {
			args: []string{"-n3", "--restart=always", "--restart-backoff=1ms..2ms", "--max-restarts=100000/1s", "--", "sh", "-c", "exec sleep 0.00$BROOD_SLOT"},
			act:  func(*harness.Brood) {},
		},
		"a reload": {
			args: []string{"-n3", "--ready=1ms", "--", "sleep", "300"},
			act:  func(b *harness.Brood) { b.Signal(syscall.SIGHUP) },
		},
		"a reload beside": {
			args: []string{"-n3", "--ready=1ms", "--max-surge=1", "--max-unavailable=0", "--", "sleep", "300"},
			act:  func(b *harness.Brood) { b.Signal(syscall.SIGHUP) },
		},
		"scaling": {
			args: []string{"-n2", "--", "sleep", "300"},
			act: func(b *harness.Brood) {
				for range 5 {
					b.Signal(syscall.SIGTTIN)
				}
				b.Signal(syscall.SIGTTOU)
			},
		},
		"the drain of the last request": {
			args: []string{"-n2", "--drain-delay=100ms", "--", "sleep", "300"},
			act:  func(b *harness.Brood) { b.Signal(syscall.SIGINT) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				for delay := time.Duration(0); delay <= last; delay += step {
					finished := filepath.Join(t.TempDir(), "finished")
					b := m.Start(t, append([]string{"--finish", "sh -c 'echo x >>" + finished + "'"}, transition.args...)...)
					b.WaitRunning(2)
					transition.act(b)
					moment(delay)
					if !b.HasEnded() { // a drain under way may end at any moment
						_ = harness.Kill(b.PID, syscall.SIGTERM)
					}
					b.WantCode(t, 0)
					if ran := strings.Count(harness.Content(finished), "x"); ran != 1 {
						t.Errorf("stopped %s after %s brood has run the finish hook %d times", delay, name, ran)
					}
				}
			})
		})
	}
}

// A supervisor that loses patience, or several of them: within a tenth of a
// second all stop signals are one request, however many.
func TestTenStopSignalsAtOnceAreOneRequest(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n3", "--stop-timeout=20s", "--drain-delay=200ms", "--", "worker", "slow", file, "200ms")
		harness.Until(t, "three workers are ready", func() bool { return strings.Count(harness.Content(file), "ready") == 3 })
		for i := range 10 {
			b.Signal([]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}[i%3])
		}
		b.WantCode(t, 0)
		for word, want := range map[string]int{"term": 3, "cleaned": 3} {
			if got := strings.Count(harness.Content(file), word); got != want {
				t.Errorf("%d lines say %q, want %d", got, word, want)
			}
		}
	})
}

func wantWithin(t *testing.T, b *harness.Brood, budget time.Duration, code int) {
	t.Helper()
	asked := time.Now()
	b.Stop(t, code)
	if took := time.Since(asked); took > budget+hangSlack {
		t.Errorf("the stop took %s, its budget is %s; brood said:\n%s", took, budget, b.Stderr)
	}
}

// A stopped process takes no signal until it is continued, which belongs to
// asking it.
func TestAWorkerThatIsStoppedIsAskedLikeAnyOther(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n2", "--stop-timeout=1s", "--", "sleep", "300")
		stopped := b.Slot(2)
		if err := harness.Kill(stopped, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, "the worker is stopped", func() bool { p, _ := harness.Look(stopped); return p.State == 'T' })
		wantWithin(t, b, time.Second, 0)
		b.WaitLog("worker exited", "slot=2", "reason=stopped")
	})
}

// deaf is a hook that neither ends nor listens.
const deaf = `sh -c 'trap "" TERM; while :; do sleep 300; done'`

func TestHooksThatNeverEndDoNotKeepBrood(t *testing.T) {
	for name, hook := range map[string]struct {
		args []string
		runs string // in the log once the hook runs
		code int
	}{
		"prepare":         {[]string{"--prepare", deaf, "--", "sleep", "300"}, "msg=starting", 0},
		"finish":          {[]string{"--finish", deaf, "--finish-timeout=500ms", "--", "sleep", "300"}, "worker started", 124},
		"on worker exit":  {[]string{"--on-worker-exit", deaf, "--restart=always", "--restart-backoff=1ms..1ms", "--", "sleep", "0.05"}, "worker exited", 0},
		"a ready command": {[]string{"--ready", "exec:" + deaf, "--ready-timeout=60s", "--", "sleep", "300"}, "worker started", 0},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				b := m.Start(t, append([]string{"-n2", "--stop-timeout=2s"}, hook.args...)...)
				b.WaitLog(hook.runs)
				wantWithin(t, b, 2*time.Second, hook.code)
			})
		})
	}
}

// A tracer gets a worker's signals before the worker does, and its end before
// brood. Who traces may sit there for ever.
func TestAWorkerThatIsTracedDoesNotKeepBrood(t *testing.T) {
	t.Parallel()
	// Not as PID 1: the kernel itself keeps PID 1 of a namespace until the tracer
	// has let go of everybody in there.
	b := harness.Mode{}.StartWith(t, harness.Options{Args: []string{"-n2", "--stop-timeout=1s", "--", "sleep", "300"}, LeavesFiles: true})
	traced := b.Slot(2)
	release := trace(t, traced)
	defer release()
	wantWithin(t, b, time.Second, 137)
}

// trace makes this process the tracer of another, one that does nothing with
// what it is told, until release.
func trace(t *testing.T, pid int) (release func()) {
	t.Helper()
	seized, done, released := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(released)
		// What a thread traces is let go of when the thread ends.
		unlock := lockThread()
		defer unlock()
		seized <- unix.PtraceSeize(pid)
		<-done
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
		_ = unix.PtraceDetach(pid)
	}()
	if err := <-seized; err != nil {
		close(done)
		<-released
		harness.Missing(t, "no process can be traced here: %v", err)
	}
	return func() { close(done); <-released }
}

func TestManyWorkersStartAndStop(t *testing.T) {
	n := 2000
	if harness.Full() {
		n = 10000
	}
	m := harness.Mode{PID1: true}
	m.Need(t)
	// On a disk it would be the disk that is tested.
	dir, err := os.MkdirTemp("/dev/shm", "brood-faults-") //nolint:usetesting // t.TempDir may be on a disk
	if err != nil {
		harness.Missing(t, "no /dev/shm: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := m.StartWith(t, harness.Options{
		PIDFile: filepath.Join(dir, "run", "brood.pid"), Patience: muchPatience,
		Args: []string{"-n" + strconv.Itoa(n), "--stop-timeout=2m", "--", "sleep", "300"},
	})
	b.WaitRunning(n)
	b.Stop(t, 0)
}
