package fanout

import (
	"slices"
	"syscall"
	"time"
)

// SlotState is the state of a worker's place.
type SlotState string

// The slot states; the package comment draws how they follow each other.
const (
	SlotStarting  SlotState = "starting"  // asked for, or not ready yet
	SlotReady     SlotState = "ready"     // its worker does its work
	SlotStopping  SlotState = "stopping"  // told to end
	SlotBackoff   SlotState = "backoff"   // ended, to be started again
	SlotCompleted SlotState = "completed" // ended, its work is done
	SlotFailed    SlotState = "failed"    // crash budget used up, or never to be restarted
)

// slot is a worker's place. Its number is stable over restarts.
type slot struct {
	number int
	state  SlotState

	worker    *worker // the one that counts; nil while there is none and none is asked for
	successor *worker // started beside a ready worker, to take its place
	leaving   *worker // the predecessor of one that took its place, told to end

	initial      bool         // opened by the plan, not by scaling
	closing      bool         // to be gone once its processes are
	wasReady     bool         // when it began to close
	finished     bool         // completed or failed for good: nothing will restart it
	due          ReplaceCause // why its process is to be replaced, "" when it is not
	reloadToo    bool         // due is CauseStuck, and the reload under way waits for it as well
	underway     ReplaceCause // the replacement whose new process is not ready yet
	incarnations int          // processes that the slot has had
	attempt      int          // restarts since the slot was last stable
	failures     failures
	last         *countedExit // how the last incarnation ended
	lastCode     int          // what giving up because of this slot exits with
	orphans      int          // what its workers have left and brood has reaped
	startErr     error        // why the start after it has failed, nil if none has
	leftovers    []Ref        // ended workers whose groups may still have members
	restartDue   bool         // the backoff is over; leftovers may hold it up
	lastExit     *LastExit    // last, as others see it
	view         *SlotView    // nil when it has changed since the last snapshot
}

// worker is one incarnation.
type worker struct {
	ref     Ref
	slot    *slot
	pid     int // 0 until it has started
	began   time.Time
	readyAt time.Time // zero until then
	leader  bool
	pending []syscall.Signal // to be delivered once it has started

	sent     syscall.Signal // the stop signal it got, 0 for none
	sentAt   time.Time
	endBy    time.Time // when it gets SIGKILL, if it was told to end while brood runs
	killed   bool      // it got SIGKILL from us
	blame    Reason    // why it was told to end, if that is its own fault
	replaced bool      // told to end to make room for the next incarnation
	beside   bool      // started as a successor, without a PID file

	oldAt  time.Time // when it gets too old; zero while it is not ready, or for never
	spared time.Time // until when it may be too big: its successor has failed

	check    checking
	readyBy  time.Time // when it has failed if it is not ready by then
	pinged   time.Time // its last sign of life, with a watchdog
	watchdog time.Duration
	status   string // what it says of itself

	extended  bool // it has asked for more time to end
	reloading bool // it says that it reloads its configuration
}

// processes are the incarnations that the slot has asked for and not lost.
func (s *slot) processes() []*worker {
	all := make([]*worker, 0, 1)
	for _, w := range []*worker{s.worker, s.successor, s.leaving} {
		if w != nil {
			all = append(all, w)
		}
	}
	return all
}

func (s *slot) empty() bool { return s.worker == nil && s.successor == nil && s.leaving == nil }

// drop lets go of an incarnation that has ended or never began.
func (s *slot) drop(w *worker) {
	for _, place := range []**worker{&s.worker, &s.successor, &s.leaving} {
		if *place == w {
			*place = nil
		}
	}
}

// become changes a slot's state.
func (e *Engine) become(s *slot, to SlotState) {
	from := s.state
	if from == SlotReady {
		e.ready--
	}
	if to == SlotReady {
		e.ready++
		// Now, for what is to be replaced may be told to end before anybody looks.
		e.allBeenReady = e.allBeenReady || e.wanted > 0 && e.ready >= e.wanted
	}
	s.state = to
	e.touch(s)
	e.emit(SlotEntered{Slot: s.number, From: from, To: to})
}

// maxPending bounds the signals that are kept for a worker being started.
const maxPending = 64

func refs(workers []*worker) []Ref {
	all := make([]Ref, len(workers))
	for i, w := range workers {
		all[i] = w.ref
	}
	return all
}

// incarnation returns the slot and worker of a reference, or nil when the
// engine has moved on.
func (e *Engine) incarnation(ref Ref) (*slot, *worker) {
	s := e.slots.get(ref.Slot)
	if s == nil {
		return nil, nil
	}
	i := slices.IndexFunc(s.processes(), func(w *worker) bool { return w.ref == ref })
	if i < 0 {
		return nil, nil
	}
	return s, s.processes()[i]
}
