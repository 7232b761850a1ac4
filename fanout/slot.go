package fanout

import (
	"syscall"
	"time"
)

// SlotState is the state of a worker's place.
type SlotState string

// The slot states; the package comment draws how they follow each other.
const (
	SlotStarting  SlotState = "starting"  // asked for, or too young to be ready
	SlotReady     SlotState = "ready"     // alive for long enough
	SlotStopping  SlotState = "stopping"  // told to end
	SlotBackoff   SlotState = "backoff"   // ended, to be started again
	SlotCompleted SlotState = "completed" // ended, its work is done
	SlotFailed    SlotState = "failed"    // crash budget used up, or never to be restarted
)

// slot is a worker's place. Its number is stable over restarts.
type slot struct {
	number       int
	state        SlotState
	worker       *worker // nil while there is no process and none is asked for
	incarnations int     // processes that the slot has had
	attempt      int     // restarts since the slot was last stable
	failures     failures
	last         *countedExit // how the last incarnation ended
	lastCode     int          // what giving up because of this slot exits with
	leftovers    []Ref        // ended workers whose groups may still have members
	restartDue   bool         // the backoff is over; leftovers may hold it up
	lastExit     *LastExit    // last, as others see it
	view         *SlotView    // nil when it has changed since the last snapshot
	finished     bool         // completed or failed for good: nothing will restart it
}

// worker is one incarnation.
type worker struct {
	ref     Ref
	pid     int // 0 until it has started
	began   time.Time
	leader  bool
	pending []syscall.Signal // to be delivered once it has started
	sent    syscall.Signal   // the stop signal it got, 0 for none
	sentAt  time.Time
	killed  bool // it got SIGKILL from us
}

// become changes a slot's state.
func (e *Engine) become(s *slot, to SlotState) {
	from := s.state
	s.state = to
	e.touch(s)
	e.emit(SlotEntered{Slot: s.number, From: from, To: to})
}

// maxPending bounds the signals that are kept for a worker being started.
const maxPending = 64

func refs(slots []*slot) []Ref {
	all := make([]Ref, len(slots))
	for i, s := range slots {
		all[i] = s.worker.ref
	}
	return all
}

// startWorkers fills the lowest numbers.
func (e *Engine) startWorkers() {
	e.enter(PhaseRunning)
	for range e.plan.Count {
		e.addSlot()
	}
	for s := range e.slots.all() {
		s.worker.pending = append(s.worker.pending, e.early...)
	}
	e.early = nil
}

// addSlot opens the lowest number that is free and starts its worker.
func (e *Engine) addSlot() { e.start(e.slots.open()) }

// start asks for the slot's next incarnation.
func (e *Engine) start(s *slot) {
	e.become(s, SlotStarting)
	s.restartDue = false
	s.worker = &worker{
		ref:    Ref{KindWorker, s.number, s.incarnations + 1},
		leader: e.mayLead(s),
	}
	e.system.Start(e.launch(s))
}

// mayLead reports whether the slot's next worker is the leader: the lowest
// number leads, and only when nothing of its predecessor is left, so that no
// two processes ever lead.
func (e *Engine) mayLead(s *slot) bool {
	return e.slots.lowest() == s && len(s.leftovers) == 0
}

// incarnation returns the slot and worker of a reference, or nil when the
// engine has moved on.
func (e *Engine) incarnation(ref Ref) (*slot, *worker) {
	s := e.slots.get(ref.Slot)
	if s == nil || s.worker == nil || s.worker.ref != ref {
		return nil, nil
	}
	return s, s.worker
}

func (e *Engine) workerStarted(in Started) {
	s, w := e.incarnation(in.Ref)
	if w == nil {
		return
	}
	s.incarnations++
	w.pid, w.began = in.PID, in.At
	e.touch(s)
	e.emit(WorkerStarted{s.number, in.Incarnation, in.PID, w.leader})
	for _, sig := range w.pending {
		e.system.Signal([]Ref{w.ref}, sig, e.plan.Group)
	}
	w.pending = nil
	if e.stopping() {
		e.stopLateStart(s)
		return
	}
	e.timers.after(e.plan.ReadyAfter, func() { e.readyElapsed(in.Ref) })
}

func (e *Engine) readyElapsed(ref Ref) {
	s, w := e.incarnation(ref)
	if w == nil || s.state != SlotStarting {
		return // ended or told to end meanwhile
	}
	e.become(s, SlotReady)
	e.emit(WorkerReady{s.number, ref.Incarnation, w.pid, time.Since(w.began)})
	e.timers.after(e.plan.Backoff.Max, func() { e.stableElapsed(ref) })
}

// stableElapsed forgives what happened before a worker has stayed up for the
// longest backoff.
func (e *Engine) stableElapsed(ref Ref) {
	if s, w := e.incarnation(ref); w != nil {
		s.attempt = 0
	}
}

func (e *Engine) workerStartFailed(in StartFailed) {
	s, w := e.incarnation(in.Ref)
	if w == nil {
		return
	}
	s.worker = nil
	switch {
	case in.TakenBy != 0:
		e.skipTaken(s, in.TakenBy)
		return
	case e.stopping():
		e.become(s, SlotCompleted)
		return
	}
	e.emit(WorkerStartFailed{s.number, in.Code, in.Err})
	if in.Code != 0 && s.incarnations == 0 {
		e.become(s, SlotFailed)
		e.beginStop(stopCause{decided: &Outcome{Code: in.Code, Reason: EndStartFailed, Slot: s.number}})
		return
	}
	s.lastCode = in.Code
	if in.Code == 0 {
		s.lastCode = CodeInternal
	}
	e.restartLater(s)
}

// skipTaken leaves a number to the process that has registered under it and
// opens another one instead.
func (e *Engine) skipTaken(s *slot, by int) {
	e.slots.skip(s, by)
	e.dirty = true
	e.emit(SlotTaken{s.number, by})
	if !e.stopping() {
		e.addSlot()
	}
}

func (e *Engine) workerExited(in Exited) {
	s, w := e.incarnation(in.Ref)
	if w == nil {
		return
	}
	reason := exitReason(in.Status, w.sent, w.killed, in.OOM)
	s.worker = nil
	s.last = &countedExit{s.number, in.At, in.Status, reason}
	s.lastCode = in.ExitCode()
	s.lastExit = &LastExit{in.At, in.PID, in.ExitCode(), signalName(in.Signal), reason}
	e.touch(s)
	exited := WorkerExited{Slot: s.number, Incarnation: in.Incarnation, Exit: in.Exit, Reason: reason, Uptime: in.At.Sub(w.began)}
	if w.sent != 0 {
		exited.StopTook = in.At.Sub(w.sentAt)
	}
	e.emit(exited)
	e.system.RemovePIDFile(s.number, in.PID)
	if e.plan.InheritStdin {
		e.system.TakeTerminal()
	}
	e.queueExitHook(exited)
	if e.stopping() {
		e.stop.exits = append(e.stop.exits, *s.last)
		e.become(s, SlotCompleted)
		return
	}
	e.decideRestart(s, in, reason)
	e.endLeftovers(s, in)
}

// decideRestart applies the restart policy to a worker that ended by itself.
func (e *Engine) decideRestart(s *slot, in Exited, reason ExitReason) {
	abnormal := reason != ExitCompleted
	switch {
	case abnormal && e.plan.FailFast:
		e.become(s, SlotFailed)
		e.beginStop(stopCause{decided: &Outcome{Code: in.ExitCode(), Reason: reason.end(), Slot: s.number}})
	case e.plan.Restart == RestartNever && abnormal:
		s.finished = true
		e.become(s, SlotFailed)
	case e.plan.Restart != RestartAlways && !abnormal:
		s.finished = true
		e.become(s, SlotCompleted)
		e.emit(SlotDone{s.number, len(e.slots.running())})
	case !abnormal:
		e.backOff(s, false)
	default:
		e.restartLater(s)
	}
}

// restartLater counts a failure against the slot's budget and backs off; it
// gives up when the budget is spent and no worker is ready.
func (e *Engine) restartLater(s *slot) {
	exhausted := s.failures.add(time.Now(), e.plan.MaxRestarts)
	if exhausted && !e.anyoneElseReady(s) {
		e.become(s, SlotFailed)
		e.beginStop(stopCause{decided: &Outcome{Code: s.lastCode, Reason: EndGaveUp, Slot: s.number}})
		return
	}
	e.backOff(s, exhausted)
}

func (e *Engine) anyoneElseReady(than *slot) bool {
	for s := range e.slots.all() {
		if s != than && s.state == SlotReady {
			return true
		}
	}
	return false
}

func (e *Engine) backOff(s *slot, failed bool) {
	delay := e.plan.Backoff.delay(s.attempt, e.random)
	if failed {
		delay = e.plan.Backoff.Max
		e.become(s, SlotFailed)
	} else {
		e.become(s, SlotBackoff)
	}
	s.attempt++
	next := s.incarnations + 1
	e.emit(BackingOff{s.number, delay, len(s.failures), failed})
	e.timers.after(delay, func() { e.backoffElapsed(s, next) })
}

func (e *Engine) backoffElapsed(s *slot, next int) {
	if s.worker != nil || s.incarnations+1 != next {
		return
	}
	s.restartDue = true
	e.restartIfDue(s)
}

// restartIfDue starts the slot again once the backoff is over and what its
// last worker has left behind is gone.
func (e *Engine) restartIfDue(s *slot) {
	if e.plan.Leftovers == LeftoversKeep {
		e.forgetGone(s)
	} else if len(s.leftovers) > 0 {
		return
	}
	if s.restartDue && !e.stopping() {
		e.start(s)
	}
}
