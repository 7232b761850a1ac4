package fanout

import (
	"time"

	"github.com/brood-init/brood/internal/output"
)

// Snapshot is the state of a brood at one instant. It never changes: readers
// share it and wait for nobody.
type Snapshot struct {
	Phase     Phase
	Began     time.Time
	Wanted    int // how many workers the plan wants now
	Ready     int
	Reloading bool
	Following bool // Wanted follows the container's limits
	AllBeen   bool // every wanted worker has been ready at the same time, once at least
	Slots     []*SlotView
	// Registered are the processes that registered themselves, as last seen.
	Registered []RegisteredProcess
	// StopBy is when brood will have left at the latest; zero while it is not
	// stopping.
	StopBy time.Time
}

// Stopping reports whether brood is on its way out.
func (s *Snapshot) Stopping() bool { return s.Phase != PhasePreparing && s.Phase != PhaseRunning }

// SlotView is a slot in a Snapshot.
type SlotView struct {
	Slot        int
	State       SlotState
	PID         int // 0 without a process
	Incarnation int // processes that the slot has had
	Leader      bool
	Started     time.Time    // of the process; zero without one
	ReadyAt     time.Time    // zero until it is ready
	Status      string       // what the worker says of itself
	Reloading   bool         // it says that it reloads its configuration, and is ready all the same
	Replacing   ReplaceCause // why its process is or will be replaced, "" if not
	Closing     bool
	Failures    int       // within the crash budget's window, as last counted
	Last        *LastExit // nil before the first exit
	Orphans     int       // what its workers have left to brood and has ended
}

// LastExit is how a slot's last process ended.
type LastExit struct {
	At     time.Time
	PID    int
	Code   int // as a shell shows it
	Signal string
	Reason Reason
	Uptime time.Duration
	// OOMKills and Words are as in Exited, for one that has failed. The words
	// are for whoever may read the log, and for nobody else.
	OOMKills uint64
	Words    *output.Words
}

// Snapshot returns the state as of the engine's last decision. It is safe from
// any goroutine and never nil.
func (e *Engine) Snapshot() *Snapshot { return e.snapshot.Load() }

// touch marks a slot as changed, so that the next snapshot shows it.
func (e *Engine) touch(s *slot) {
	s.view = nil
	e.dirty = true
}

// publish makes the state visible. The slots that have not changed are shared
// with the snapshots before.
func (e *Engine) publish() {
	if !e.dirty {
		return
	}
	e.dirty = false
	now := &Snapshot{
		Phase:     e.phase,
		Began:     e.began,
		Wanted:    e.wanted,
		Reloading: e.reload != nil,
		Following: e.following,
		Ready:     e.ready,
		AllBeen:   e.allBeenReady,
		Slots:     make([]*SlotView, 0, len(e.slots.byNumber)),
	}
	for s := range e.slots.all() {
		if s.view == nil {
			s.view = s.look()
		}
		now.Slots = append(now.Slots, s.view)
	}
	if now.Wanted > 0 && now.Ready >= now.Wanted {
		e.allBeenReady, now.AllBeen = true, true
	}
	for _, p := range e.registered {
		now.Registered = append(now.Registered, p)
	}
	if now.Stopping() {
		now.StopBy = e.stop.finish.Add(exitReserve)
	}
	e.snapshot.Store(now)
}

func (s *slot) look() *SlotView {
	v := &SlotView{
		Slot: s.number, State: s.state, Incarnation: s.incarnations,
		Failures: len(s.failures), Last: s.lastExit, Closing: s.closing, Replacing: s.underway, Orphans: s.orphans,
	}
	if v.Replacing == "" {
		v.Replacing = s.due
	}
	if w := s.worker; w != nil && w.pid != 0 {
		v.PID, v.Leader, v.Started, v.ReadyAt, v.Status = w.pid, w.leader, w.began, w.readyAt, w.status
		v.Reloading = w.reloading && s.state == SlotReady
	}
	return v
}
