package life_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestOrphansAreReapedAtOnce(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--log-level=debug", "--", "sh", "-c",
			"i=0; while [ $i -lt 50 ]; do (true &); (setsid -f true); i=$((i+1)); done; echo done; exec sleep 300")
		b.Stdout.Await(t, "done")
		harness.Until(t, "all orphans are reaped", func() bool { return sum(b.LogNumbers("count", "orphans reaped")) >= 100 })
		harness.Until(t, "no zombie is left", func() bool { return len(b.Zombies()) == 0 })
		if got := sum(b.LogNumbers("count", "orphans reaped")); got != 100 {
			t.Errorf("%d orphans were reaped, want 100", got)
		}
		b.Stop(t, 0)
	})
}

func sum(all []int) (n int) {
	for _, x := range all {
		n += x
	}
	return n
}

func TestRestartsLeakNothing(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		gate := filepath.Join(t.TempDir(), "gate")
		b := m.Start(t, "-n4", "--restart-backoff=1ms..2ms", "--max-restarts=1000/1s", "--on-worker-exit=true",
			"--", "sh", "-c", "test -e "+gate+" && exec sleep 300; exit 1")
		b.WaitRunning(40)
		untilTheyStay(t, b, gate)
		fds, threads := len(harness.FDs(b.PID)), threadsOf(b)
		if err := os.Remove(gate); err != nil {
			t.Fatal(err)
		}
		for slot := 1; slot <= 4; slot++ {
			_ = harness.Kill(b.Slot(slot), syscall.SIGKILL)
		}
		b.WaitRunning(400)
		untilTheyStay(t, b, gate)
		if n := len(harness.FDs(b.PID)); n > fds+2 {
			t.Errorf("brood has %d descriptors after 400 starts, and had %d after 40", n, fds)
		}
		if n := threadsOf(b); n > threads+4 {
			t.Errorf("brood has %d threads after 400 starts, and had %d after 40", n, threads)
		}
		b.Stop(t, 0)
	})
}

// untilTheyStay opens the gate, and waits until four workers sleep and nothing
// else is under way.
func untilTheyStay(t *testing.T, b *harness.Brood, gate string) {
	t.Helper()
	touch(t, gate)
	for slot := 1; slot <= 4; slot++ {
		harness.Until(t, "the workers stay", func() bool {
			p, ok := harness.Look(b.Slot(slot))
			return ok && p.Comm == "sleep"
		})
	}
	harness.Until(t, "nobody else is left", func() bool { return len(harness.Children(b.PID)) == 4 })
}

func threadsOf(b *harness.Brood) int {
	p, _ := harness.Look(b.PID)
	n, _ := strconv.Atoi(p.Status("Threads"))
	return n
}

// As PID 1 the kernel would see to it anyway.
func TestNoWorkerOutlivesAKilledBrood(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.StartWith(t, harness.Options{
			Args:        []string{"-n3", "--", "sleep", "300"},
			LeavesFiles: true,
		})
		b.WaitRunning(3)
		b.Signal(syscall.SIGKILL)
		b.WantCode(t, 137)
		harness.Until(t, "all workers are dead", func() bool { return len(b.Left()) == 0 })
	})
}

func TestTheNextBroodTidiesUpAfterAKilledOne(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.StartWith(t, harness.Options{Args: []string{"-n3", "--", "sleep", "300"}, LeavesFiles: true})
		harness.Until(t, "all files are there, the control socket too", func() bool { return len(b.PIDFiles()) == 5 })
		b.Signal(syscall.SIGKILL)
		b.WantCode(t, 137)
		harness.Until(t, "all workers are dead", func() bool { return len(b.Left()) == 0 })
		if len(b.PIDFiles()) != 5 {
			t.Fatalf("files after the kill: %q", b.PIDFiles())
		}
		next := m.StartWith(t, harness.Options{Args: []string{"-n1", "--", "sleep", "300"}, PIDFile: b.PIDFile})
		harness.Until(t, "only the next brood's files are there", func() bool {
			return strings.Join(next.PIDFiles(), " ") == "brood.1.pid brood.master.pid brood.sock"
		})
		next.Stop(t, 0)
	})
}
