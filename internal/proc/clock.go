package proc

import (
	"time"

	"golang.org/x/sys/unix"
)

// TicksPerSecond is the unit of every time in Stat. The kernel converts to
// USER_HZ before it prints, and that is 100 on each platform that Go runs on,
// whatever CONFIG_HZ is.
const TicksPerSecond = 100

// Clock turns a start time, which counts from boot, into wall time. Both
// proc_pid_stat(5) and CLOCK_BOOTTIME are shown with the reader's time
// namespace offset, so they agree inside of a container with one too.
type Clock struct {
	Offset time.Duration // wall clock minus boot clock, as from BootOffset
}

// Started is the wall time of a start at startTicks. It is up to one tick too
// early, since ticks are rounded down.
func (c Clock) Started(startTicks uint64) time.Time {
	seconds, ticks := startTicks/TicksPerSecond, startTicks%TicksPerSecond
	return time.Unix(int64(seconds), int64(ticks)*int64(time.Second/TicksPerSecond)).Add(c.Offset)
}

// BootOffset reads how far the wall clock is ahead of the boot clock now. It
// stays the same, but for slewing, until somebody sets the wall clock.
func BootOffset() time.Duration {
	// A throttled container can lose 100 ms between two calls: take the
	// attempt with the smallest gap, which is the first one nearly always.
	const attempts, goodGap = 5, 100 * time.Microsecond
	var offset, smallest time.Duration
	for i := range attempts {
		before := read(unix.CLOCK_BOOTTIME)
		wall := read(unix.CLOCK_REALTIME)
		gap := read(unix.CLOCK_BOOTTIME) - before
		if i == 0 || gap < smallest {
			offset, smallest = wall-before-gap/2, gap
		}
		if gap < goodGap {
			break
		}
	}
	return offset
}

// read cannot fail: both clocks exist since Linux 2.6.39 and the pointer is good.
func read(clock int32) time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(clock, &ts)
	return time.Duration(ts.Nano())
}
