package life_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brood-init/brood/test/internal/harness"
)

// What brood does with each signal that does not stop it.
var (
	swallowed = []int{
		17, 13, // CHLD and PIPE are brood's own
		21, 22, // TTIN and TTOU change the number of workers, unless ignored
		23, 27, // URG and PROF are the runtime's
		4, 5, 6, 7, 8, 11, 31, // a fault's: ILL TRAP ABRT BUS FPE SEGV SYS
	}
	// The C library's, which Go cannot be notified of.
	libc  = []int{32, 33, 34}
	stops = []int{2, 3, 15}
)

// nothingButSignals keeps HUP from reloading, and TTIN and TTOU from scaling.
func nothingButSignals() []string {
	return []string{"--signal", "HUP=forward", "--signal", "TTIN=ignore", "--signal", "TTOU=ignore"}
}

// forwarded are all the others.
func forwarded() []int {
	var all []int
	for n := 1; n <= 64; n++ {
		if n != 9 && n != 19 && !slices.Contains(swallowed, n) && !slices.Contains(libc, n) && !slices.Contains(stops, n) {
			all = append(all, n)
		}
	}
	return all
}

// report counts what the workers of "worker report" have got: slot -> signal
// -> how often.
func report(text string) map[string]map[int]int {
	got := make(map[string]map[int]int)
	for line := range strings.Lines(text) {
		slot, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(what); err == nil {
			if got[slot] == nil {
				got[slot] = make(map[int]int)
			}
			got[slot][n]++
		}
	}
	return got
}

// takesAllSignals has brood say so. Most signals it takes only when its first
// worker has been started.
const takesAllSignals = "--log-level=debug"

func untilAllSignalsAreTaken(b *harness.Brood) { b.WaitLog("all signals are taken") }

// startReporters runs n workers that write what they get to the file.
func startReporters(t *testing.T, m harness.Mode, n int, flags ...string) (b *harness.Brood, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "signals")
	args := append([]string{"-n", strconv.Itoa(n), takesAllSignals}, flags...)
	b = m.Start(t, append(args, "--", "worker", "report", file)...)
	untilAllSignalsAreTaken(b)
	harness.Until(t, "all workers listen", func() bool {
		return strings.Count(harness.Content(file), " ready\n") == n
	})
	return b, file
}

func TestEverySignalReachesEveryWorkerExactlyOnce(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, file := startReporters(t, m, 3, nothingButSignals()...)
		for _, n := range forwarded() {
			b.Signal(syscall.Signal(n))
			line := " " + strconv.Itoa(n) + "\n"
			harness.Until(t, fmt.Sprintf("signal %d is everywhere", n), func() bool {
				return strings.Count(harness.Content(file), line) >= 3
			})
		}
		for _, n := range swallowed {
			b.Signal(syscall.Signal(n))
		}
		b.Stop(t, 0)
		want := map[int]int{15: 1}
		for _, n := range forwarded() {
			want[n] = 1
		}
		for slot, got := range report(harness.Content(file)) {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("slot %s got other signals than it should (-want +got):\n%s", slot, diff)
			}
		}
	})
}

func TestABurstOfDifferentSignalsLosesNone(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, file := startReporters(t, m, 2, nothingButSignals()...)
		// The kernel itself takes a pending CONT away when TSTP comes.
		burst := slices.DeleteFunc(forwarded(), func(n int) bool { return n == 20 })
		for _, n := range burst {
			b.Signal(syscall.Signal(n))
		}
		harness.Until(t, "all signals are everywhere", func() bool {
			got := report(harness.Content(file))
			return len(got["1"]) == len(burst) && len(got["2"]) == len(burst)
		})
		b.Stop(t, 0)
	})
}

// A worker that has everything blocked keeps what it gets pending, where the
// kernel shows it: also what no handler of ours could see.
func TestWhatIsNotForwardedNeverReachesAWorker(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, append(nothingButSignals(), takesAllSignals, "-n1", "--", "worker", "blocked", "sleep", "300")...)
		pid := b.Slot(1)
		untilAllSignalsAreTaken(b)
		harness.Until(t, "the worker is asleep", func() bool {
			p, ok := harness.Look(pid)
			return ok && p.Comm == "sleep"
		})
		for _, n := range slices.Concat(swallowed, libc, forwarded()) {
			b.Signal(syscall.Signal(n))
		}
		// The kernel takes a pending CONT away when TSTP comes.
		want := slices.DeleteFunc(forwarded(), func(n int) bool { return n == 18 })
		var pending []int
		harness.Within(harness.Fatal, func() bool {
			p, _ := harness.Look(pid)
			pending = p.SignalSet("ShdPnd")
			return len(pending) >= len(want)
		})
		if diff := cmp.Diff(want, pending); diff != "" {
			t.Errorf("pending at the worker (-want +got):\n%s", diff)
		}
		b.Signal(syscall.SIGTERM)
		b.WaitLog("msg=stopping")
		if err := harness.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		b.WantCode(t, 137)
	})
}

func TestNoSignalThatWorkersDoNotGetEndsBrood(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, _ := startReporters(t, m, 1)
		for _, n := range append(slices.Clone(swallowed), libc...) {
			for range 3 {
				b.Signal(syscall.Signal(n))
			}
		}
		b.Stop(t, 0)
	})
}

// The kernel spares an init what nobody handles, but not while its first thread
// has the signal blocked, and that it has whenever it forks.
func TestSignalsOfTheCLibraryDoNotEndABroodThatForks(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n4", "--restart", "always", "--restart-backoff", "1ms..1ms", "--", "true")
		b.WaitLog("worker started", "incarnation=10 ")
		for range 5000 {
			for _, n := range libc {
				b.Signal(syscall.Signal(n))
			}
			if t.Failed() {
				break // it has gone
			}
		}
		b.Stop(t, 0)
	})
}

func TestTheStopSignalIsTheOneThatArrived(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for _, n := range stops {
			file := filepath.Join(t.TempDir(), "signals")
			b := m.Start(t, "-n1", "--", "worker", "report", file, strconv.Itoa(n))
			harness.File(t, file)
			b.Signal(syscall.Signal(n))
			b.WantCode(t, 0)
			if diff := cmp.Diff(map[string]map[int]int{"1": {n: 1}}, report(harness.Content(file))); diff != "" {
				t.Errorf("stopped by %d the worker got (-want +got):\n%s", n, diff)
			}
		}
	})
}

func TestAWorkerThatDiesOfTheStopSignalHonoursIt(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for _, n := range stops {
			b := m.Start(t, "-n2", "--", "sleep", "300")
			b.WaitRunning(2)
			b.Signal(syscall.Signal(n))
			b.WantCode(t, 0)
		}
	})
}

func TestASignalDuringPrepareReachesTheWorkersOnce(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		gate := filepath.Join(t.TempDir(), "gate")
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n2", "--log-level", "debug",
				"--prepare", "sh -c 'until test -e " + gate + "; do sleep 0.01; done'", "--", "sleep", "300",
			},
			// Workers begin with it blocked, so that it stays where it can be seen.
			Stage: harness.Stage{Block: []syscall.Signal{syscall.SIGUSR1}},
		})
		b.WaitLog(`msg="hook started"`)
		b.Signal(syscall.SIGUSR1)
		b.WaitLog(`msg="signal received"`, "SIGUSR1")
		touch(t, gate)
		for slot := 1; slot <= 2; slot++ {
			pid := b.Slot(slot)
			harness.Until(t, "the early signal is there", func() bool {
				p, _ := harness.Look(pid)
				return slices.Equal(p.SignalSet("ShdPnd"), []int{10})
			})
		}
		b.Stop(t, 0)
	})
}

func TestSignalsIgnoredAtTheStartStayIgnored(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.StartWith(t, harness.Options{
			Args:  []string{"-n1", "--", "sleep", "300"},
			Stage: harness.Stage{Ignore: []syscall.Signal{syscall.SIGHUP, syscall.SIGINT}},
		})
		p, _ := harness.Look(b.Slot(1))
		for _, sig := range []int{1, 2} {
			if !slices.Contains(p.SignalSet("SigIgn"), sig) {
				t.Errorf("the worker ignores %v, want signal %d among them", p.SignalSet("SigIgn"), sig)
			}
		}
		b.Signal(syscall.SIGINT)
		b.Signal(syscall.SIGHUP)
		harness.Never(t, 200*time.Millisecond, "brood heeds what it should ignore", b.HasEnded)
		b.Stop(t, 0)
	})
}

func TestAForwardedSignalReachesAGrandchildOnlyWithGroup(t *testing.T) {
	for _, group := range []bool{false, true} {
		t.Run(fmt.Sprintf("group=%t", group), func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				file := filepath.Join(t.TempDir(), "signals")
				script := "trap : USR1; worker report " + file + " & until wait; do :; done"
				b := m.Start(t, "-n1", fmt.Sprintf("--group=%t", group), "--", "sh", "-c", script)
				harness.File(t, file)
				b.Signal(syscall.SIGUSR1)
				if group { // else it would be killed for a leftover before it can tell
					harness.Until(t, "the grandchild has it", func() bool { return report(harness.Content(file))["1"][10] == 1 })
				}
				b.Signal(syscall.SIGUSR2) // marks the end for those without a trap: it ends the shell
				b.WaitLog(`msg="worker exited"`, "SIGUSR2")
				b.Stop(t, 0)
				if got := report(harness.Content(file))["1"][10] == 1; got != group {
					t.Errorf("the grandchild got it: %t, want %t", got, group)
				}
			})
		})
	}
}
