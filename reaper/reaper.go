// Package reaper is the one place that starts processes and waits for them.
//
// A container's PID 1 inherits every orphan, so it must wait for processes it
// has never heard of. wait4(-1) does that, but beside a second waiter (os/exec,
// os.Process.Wait) it takes exit codes away from it: measured, 13 to 37 % of
// them. So there is one waiter here, and nobody else may wait.
//
// The rules that make it lossless:
//
//   - SIGCHLD coalesces: each wake-up loops until no zombie is left.
//   - The loop peeks (waitid with WNOWAIT), reads a known zombie's last figures
//     from /proc, and only then reaps it by its PID. Until that moment the PID
//     cannot be recycled.
//   - A child may die before the parent has learnt its PID. While a start is
//     under way an unknown zombie is therefore left alone, and the known ones
//     are asked for one by one, until the start is registered. If that takes
//     long, the kernel is asked which thread a zombie is a child of: what is
//     started is the starting thread's, and orphans come to the first one.
//   - An exit is never delivered before its start: Spec.Started returns first.
//     A process that Spec.Confirm does not confirm has no start and no exit, but
//     is known, so that it is not taken for an orphan.
//   - A PID is signalled only under the lock that guards reaping, so it is our
//     child's or its zombie's, never a stranger's. The lock is not held across
//     an exec, which may hang on a slow disk.
//
// All processes are started by one goroutine that stays on its thread for ever
// (StartingThread), because the parent-death signal fires when the creating
// thread ends (prctl(2), PR_SET_PDEATHSIG).
package reaper

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
)

// Reaper starts processes, reaps every child and every adopted orphan, and
// signals its own children. Make one per process with New: two would steal
// from each other.
type Reaper struct {
	proc    proc.FS
	orphans func(Orphans)

	mask unix.Sigset_t // what those that are started block
	wake chan struct{} // capacity 1: something may be waiting to be reaped

	mu       sync.Mutex
	children map[int]*Process
	families families
	starting starting // whose PID is not in children yet
	left     int      // calls of LeaveUnknown
	// postponed says that a zombie was left alone because of them.
	postponed bool
	late      *time.Timer // to look again, when a start hangs
}

// starting is a start under way; the zero value is none.
type starting struct {
	thread int
	since  time.Time
}

// hanging is what a start does that takes longer. Nearly all are over in a
// millisecond, and what has ended meanwhile can wait for that.
const hanging = 100 * time.Millisecond

// Options configures a Reaper. The zero value is useful.
type Options struct {
	// Proc is where /proc is mounted; empty is "/proc".
	Proc proc.FS
	// Orphans is told of reaped processes that nobody started here, from the
	// goroutine of Run. It must not block for long.
	Orphans func(Orphans)
}

// New returns a Reaper. Call it from any thread but that of StartingThread: the
// signals that the caller's blocks are those that all processes start with.
func New(o Options) *Reaper {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	r := &Reaper{
		proc:     o.Proc,
		orphans:  o.Orphans,
		mask:     currentMask(),
		wake:     make(chan struct{}, 1),
		children: make(map[int]*Process),
		families: families{left: make(map[int]int)},
	}
	r.late = time.AfterFunc(time.Hour, r.kick)
	r.late.Stop()
	return r
}

// Run reaps until stop is closed. Each receive from sigchld is a hint that
// something has ended; a channel of depth 1 registered for SIGCHLD is enough.
// What died before Run was called is found by its first pass.
func (r *Reaper) Run(sigchld <-chan os.Signal, stop <-chan struct{}) {
	for {
		r.reapAll()
		select {
		case <-sigchld:
		case <-r.wake:
		case <-stop:
			return
		}
	}
}

// LeaveUnknown leaves ended processes that nobody has started here to be waited
// for by somebody else in this process, until release is called. Orphans remain
// zombies meanwhile, and SignalAdopted refuses.
func (r *Reaper) LeaveUnknown() (release func()) {
	r.mu.Lock()
	r.left++ // any unknown child may be his, as it may be the start's
	r.mu.Unlock()
	return sync.OnceFunc(func() {
		r.mu.Lock()
		r.left--
		r.mu.Unlock()
		r.kick()
	})
}

// HasChildren reports whether any child, running, stopped or zombie, is left.
// A subreaper or PID 1 without children has no descendants at all: every
// orphan would have been re-parented to it (prctl(2), PR_SET_CHILD_SUBREAPER).
func (r *Reaper) HasChildren() bool {
	_, err := peek(anyChild, 0)
	return err == nil
}

// Orphans sums up adopted processes that were reaped in one pass.
type Orphans struct {
	Count   int
	Codes   map[int]int // exit code -> processes
	Signals map[int]int // signal number -> processes killed by it
	// Families counts them by the Family of whom they descend from, 0 for those
	// of whom it is not known.
	Families map[int]int
}

func (o *Orphans) add(s Status, family int) {
	if o.Codes == nil {
		o.Codes, o.Signals, o.Families = make(map[int]int), make(map[int]int), make(map[int]int)
	}
	o.Count++
	o.Families[family]++
	if s.Signal != 0 {
		o.Signals[int(s.Signal)]++
		return
	}
	o.Codes[s.Code]++
}

// Exit is the end of one process started by Start.
type Exit struct {
	PID int
	Status
	// Final is the zombie's last /proc figures, zero if they could not be read.
	Final Usage
	// GroupAlive reports that the process led its group and left members in it.
	GroupAlive bool
	At         time.Time
}

// Usage is what a process had used when it ended, of its own, without its
// children (which wait4's rusage would add).
type Usage struct {
	proc.Stat
	ReadBytes, WriteBytes uint64
}
