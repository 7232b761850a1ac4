package metrics

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

// usage is what processes have used, in the units of /proc. None of it ever
// falls while the process lives.
type usage struct {
	userTicks, systemTicks uint64
	minFaults, majFaults   uint64
	readBytes, writeBytes  uint64
	// ioKnown says that the bytes were read at least once: 0 is no answer.
	ioKnown bool
}

func (u *usage) add(v usage) {
	u.userTicks += v.userTicks
	u.systemTicks += v.systemTicks
	u.minFaults += v.minFaults
	u.majFaults += v.majFaults
	u.readBytes += v.readBytes
	u.writeBytes += v.writeBytes
	u.ioKnown = u.ioKnown || v.ioKnown
}

// raise makes each figure the higher one of two readings of a process.
func (u *usage) raise(v usage) {
	u.userTicks = max(u.userTicks, v.userTicks)
	u.systemTicks = max(u.systemTicks, v.systemTicks)
	u.minFaults = max(u.minFaults, v.minFaults)
	u.majFaults = max(u.majFaults, v.majFaults)
	u.readBytes = max(u.readBytes, v.readBytes)
	u.writeBytes = max(u.writeBytes, v.writeBytes)
	u.ioKnown = u.ioKnown || v.ioKnown
}

// figures is what a process's stat says of its use.
func figures(s proc.Stat) usage {
	return usage{
		userTicks: s.UserTicks, systemTicks: s.SystemTicks,
		minFaults: s.MinFaults, majFaults: s.MajFaults,
	}
}

// final is what the reaper has read from a zombie. It does not say whether io
// could be read; a process that has used the disk says it by that.
func final(u reaper.Usage) usage {
	v := figures(u.Stat)
	v.readBytes, v.writeBytes = u.ReadBytes, u.WriteBytes
	v.ioKnown = u.ReadBytes != 0 || u.WriteBytes != 0
	return v
}

// incarnation is one process of a slot, as scrapes see it. The engine's
// goroutine makes and retires it, scrapes tell what they have read. The lock is
// held for some comparisons, never during a read.
type incarnation struct {
	number, pid int
	started     time.Time
	// latest is the boot clock, in ticks, by which the process had started: who
	// started later is somebody else with the same number.
	latest uint64

	mu      sync.Mutex
	start   uint64 // ticks; 0 until it was read for the first time
	seen    usage
	retired bool // seen is part of the slot's base now and stays what it is
	failed  [sourceCount]bool

	maxFDs uint64 // as last read, 0 until then; for the gatherer alone
}

// mine reports whether a reading of the number's stat is about this process.
// Workers are children of brood, which strangers are mostly not; the start time
// tells the others apart, since it stays the same for life, over an exec too.
func (i *incarnation) mine(s proc.Stat, parent int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case s.PPID != parent:
		return false
	case i.start == 0 && s.StartTicks <= i.latest:
		i.start = s.StartTicks
	}
	return i.start == s.StartTicks
}

// observe takes in a reading and returns the highest figures seen so far. After
// the exit was folded they no longer change.
func (i *incarnation) observe(read usage) usage {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.retired {
		i.seen.raise(read)
	}
	return i.seen
}

// retire takes in the zombie's figures and returns what the slot's base grows
// by: never less than a scrape has seen.
func (i *incarnation) retire(last usage) usage {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen.raise(last)
	i.retired = true
	return i.seen
}

// firstFailure reports whether a file of the process could not be read for the
// first time.
func (i *incarnation) firstFailure(of source) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	first := !i.failed[of]
	i.failed[of] = true
	return first
}

// bootTicks is the boot clock in the unit of /proc's start times.
func bootTicks() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // cannot fail since Linux 2.6.39
	return uint64(now.Nano()) / (uint64(time.Second) / proc.TicksPerSecond)
}
