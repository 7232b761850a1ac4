package reaper_test

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

// raise starts a shell whose orphans belong to a family.
func (h *harness) raise(family int, script string) *reaper.Process {
	h.t.Helper()
	var started *reaper.Process
	err := h.Start(reaper.Spec{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(), Stdout: 1, Stderr: 2, Family: family,
		Started: func(p *reaper.Process, _ time.Time) { started = p },
		Exited:  func(x reaper.Exit) { h.exits <- x },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return started
}

func (h *harness) families() map[int]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.orphans.Families)
}

func (h *harness) wantFamilies(want map[int]int) {
	h.t.Helper()
	n := 0
	for _, some := range want {
		n += some
	}
	h.eventually("all orphans are reaped", func() bool { return h.orphanCount() >= n })
	if got := h.families(); !maps.Equal(got, want) {
		h.t.Errorf("orphans by family are %v, want %v", got, want)
	}
}

// ticks is the boot clock in the unit of start times.
func ticks() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return uint64(now.Nano()) / uint64(time.Second/proc.TicksPerSecond)
}

func TestOrphansCountForTheFamilyOfTheirGroup(t *testing.T) {
	h := newHarness(t)
	gate := fifo(t)
	one := h.raise(1, "(true &); (true &); (true &); read x <"+gate)
	two := h.raise(2, "(sh -c '(true &)' &); read x <"+gate)
	hook := h.raise(-1, "(true &); read x <"+gate)
	nobody := h.raise(0, "(true &); read x <"+gate)
	h.wantFamilies(map[int]int{1: 3, 2: 2, -1: 1, 0: 1})
	for _, p := range []*reaper.Process{one, two, hook, nobody} {
		if err := p.SignalGroup(unix.SIGKILL); err != nil {
			t.Error(err)
		}
		h.next()
	}
}

func TestWhatALeaderLeavesIsStillItsFamilys(t *testing.T) {
	h := newHarness(t)
	gate := fifo(t)
	leader := h.raise(7, "(read x <"+gate+") & (read x <"+gate+") & exit 0")
	if x := h.next(); !x.GroupAlive {
		t.Fatal("it has left nobody")
	}
	if got := h.Family(leader.PID(), 0); got != 7 {
		t.Errorf("what it has left is of family %d", got)
	}
	if err := leader.SignalGroup(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.wantFamilies(map[int]int{7: 2})
	if got := h.Family(leader.PID(), 0); got != 0 {
		t.Errorf("the number of a group that is gone is of family %d", got)
	}
}

// A daemon leads a session of its own. Whose it was must have been seen while it
// lived.
func TestADaemonIsKnownIfItWasSeenAlive(t *testing.T) {
	h := newHarness(t)
	dir := t.TempDir()
	daemon := func(name string) (pid int, end func()) {
		file, gate := filepath.Join(dir, name), fifo(t)
		h.raise(3, "setsid sh -c 'echo $$ >"+file+".tmp; mv "+file+".tmp "+file+"; read x <"+gate+"; (true &)' &")
		h.next()
		h.eventually("the daemon runs", func() bool {
			text, err := os.ReadFile(file)
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			return err == nil && pid > 0
		})
		return pid, func() {
			w, err := os.OpenFile(gate, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.WriteString("go\n")
			_ = w.Close()
		}
	}
	_, end := daemon("unseen")
	end()
	h.wantFamilies(map[int]int{0: 2}) // it and its own orphan

	pid, end := daemon("seen")
	h.Learn(map[int]int{pid: 3}, ticks())
	if got := h.Family(pid, pid); got != 3 {
		t.Errorf("the living daemon is of family %d", got)
	}
	end()
	h.wantFamilies(map[int]int{0: 2, 3: 2})
}
