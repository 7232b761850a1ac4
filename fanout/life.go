package fanout

import (
	"syscall"
	"time"

	"github.com/brood-init/brood/reaper"
)

// This file is a worker's life, from the request for it to what follows from
// its end.

// startWorkers fills the lowest numbers.
func (e *Engine) startWorkers() {
	e.enter(PhaseRunning)
	for range e.wanted {
		s := e.slots.openLowest()
		s.initial = true
		e.start(s)
	}
	for s := range e.slots.all() {
		s.worker.pending = append(s.worker.pending, e.early...)
	}
	e.early = nil
	e.watchMemory()
}

// start asks for the slot's next incarnation. Whatever its last one was to be
// replaced for, this is the replacement.
func (e *Engine) start(s *slot) {
	if s.due != "" {
		s.underway = s.due
		e.clearDue(s)
	}
	e.begun = true
	e.become(s, SlotStarting)
	s.restartDue = false
	s.worker = e.next(s, e.mayLead(s))
	e.system.Start(e.launch(s.worker))
}

func (e *Engine) next(s *slot, leader bool) *worker {
	return &worker{ref: Ref{KindWorker, s.number, s.incarnations + 1}, slot: s, leader: leader, watchdog: e.plan.Watchdog}
}

// mayLead reports whether the slot's next worker is the leader: the lowest
// number leads, and only when nobody else does and nothing of its predecessor
// is left, so that no two processes ever lead.
func (e *Engine) mayLead(s *slot) bool {
	if e.slots.lowest() != s || len(s.leftovers) > 0 {
		return false
	}
	for other := range e.slots.all() {
		for _, w := range other.processes() {
			if w.leader {
				return false
			}
		}
	}
	return true
}

func (e *Engine) workerStarted(in Started) {
	s, w := e.incarnation(in.Ref)
	if w == nil {
		return
	}
	s.incarnations++
	w.pid, w.began = in.PID, in.At
	if w.beside && s.worker == w {
		e.system.WritePIDFile(w.ref) // whom it was to stand beside has ended meanwhile
	}
	e.touch(s)
	e.emit(WorkerStarted{s.number, in.Incarnation, in.PID, w.leader})
	for _, sig := range w.pending {
		e.system.Signal([]Ref{w.ref}, sig, e.plan.Group)
	}
	w.pending = nil
	switch {
	case e.stopping():
		e.stopLateStart(w)
	case s.closing:
		e.tellToEnd(w, "scale")
	default:
		e.awaitReady(w)
	}
}

// workerReady is what every way to become ready leads to.
func (e *Engine) workerReady(w *worker) {
	s := w.slot
	if !w.readyAt.IsZero() || w.sent != 0 || e.stopping() && e.phase != PhaseDraining {
		return
	}
	w.readyAt = time.Now()
	if s.successor == w {
		e.takeOver(s)
	} else {
		e.become(s, SlotReady)
	}
	e.emit(WorkerReady{s.number, w.ref.Incarnation, w.pid, w.readyAt.Sub(w.began)})
	e.timers.after(e.plan.Backoff.Max, func() { e.stableElapsed(w.ref) })
	e.watchOver(w)
	e.replacementDone(s)
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
	successor := s.successor == w
	s.drop(w)
	switch {
	case e.stopping():
		e.completeIfEmpty(s)
		return
	case s.closing:
		e.closeIfEmpty(s)
		return
	case in.TakenBy != 0 && !successor:
		e.skipTaken(s, in.TakenBy)
		return
	}
	e.emit(WorkerStartFailed{s.number, in.Code, in.Err})
	e.replacementFailed(s, in.Err.Error())
	if successor {
		return // the ready worker stays
	}
	if in.Code != 0 && s.initial && s.incarnations == 0 {
		e.become(s, SlotFailed)
		e.beginStop(stopCause{decided: &Outcome{Code: in.Code, Reason: ReasonStartFailed, Slot: s.number, Err: in.Err}})
		return
	}
	s.lastCode, s.startErr = in.Code, in.Err
	if in.Code == 0 {
		s.lastCode = CodeInternal
	}
	e.restartLater(s)
}

// skipTaken leaves a number to the process that has registered under it;
// another one is opened instead.
func (e *Engine) skipTaken(s *slot, by int) {
	e.clearDue(s)
	e.slots.skip(s, by)
	e.dirty = true
	e.emit(SlotTaken{s.number, by})
}

func (e *Engine) workerExited(in Exited) {
	s, w := e.incarnation(in.Ref)
	if w == nil {
		return
	}
	main, successor := s.worker == w, s.successor == w
	if sig := e.keyPressed(in.Status); sig != 0 && w.sent == 0 && !e.stopping() {
		w.sent, w.sentAt = sig, in.At
		e.beginStop(stopCause{signal: sig})
	}
	if main {
		e.clearOwnDue(s)
	}
	s.drop(w)
	reason := w.exitReason(in)
	e.account(s, w, in, reason)
	if main && s.successor != nil {
		e.promote(s)
	}
	switch {
	case e.stopping():
		e.stop.exits = append(e.stop.exits, *s.last)
		e.system.Forget(in.Ref)
		e.completeIfEmpty(s)
		return
	case s.closing, s.worker != nil && main:
	case successor:
		e.replacementFailed(s, "it ended: "+string(reason))
	case main && w.replaced:
		s.restartDue = true
	case main:
		e.replacementFailed(s, "it ended: "+string(reason))
		e.decideRestart(s, in, reason)
	}
	e.endLeftovers(s, in)
	e.settle(s)
}

// keyPressed is the signal of the key that has ended a worker on the terminal: it
// dies of it or ends with 128 plus its number. 0 is none.
func (e *Engine) keyPressed(s reaper.Status) syscall.Signal {
	if !e.plan.Foreground {
		return 0
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if s.Signal == sig || s.Signal == 0 && s.Code == 128+int(sig) {
			return sig
		}
	}
	return 0
}

// completeIfEmpty is what becomes of a slot during a stop.
func (e *Engine) completeIfEmpty(s *slot) {
	switch s.state {
	case SlotStarting, SlotReady, SlotStopping:
		if s.empty() {
			e.become(s, SlotCompleted)
		}
	}
}

// account tells everybody how a worker ended.
func (e *Engine) account(s *slot, w *worker, in Exited, reason Reason) {
	s.last = &countedExit{s.number, in.At, in.Status, reason}
	s.lastCode = in.ExitCode()
	exited := WorkerExited{Slot: s.number, Incarnation: in.Incarnation, Exit: in.Exit, Reason: reason, Uptime: in.At.Sub(w.began)}
	if reason != ReasonCompleted && reason != ReasonStopped {
		exited.OOMKills, exited.Words = in.OOMKills, in.Words
	}
	s.startErr = nil
	s.lastExit = &LastExit{
		At: in.At, PID: in.PID, Code: in.ExitCode(), Signal: signalName(in.Signal), Reason: reason,
		Uptime: exited.Uptime, OOMKills: exited.OOMKills, Words: exited.Words,
	}
	e.touch(s)
	if w.sent != 0 {
		exited.StopTook = in.At.Sub(w.sentAt)
	}
	e.emit(exited)
	e.system.RemovePIDFile(s.number, in.PID)
	if e.plan.InheritStdin {
		e.system.TakeTerminal()
	}
	e.queueExitHook(exited)
}

// decideRestart applies the restart policy to a worker that ended by itself,
// or had to be ended because it did not do its work.
func (e *Engine) decideRestart(s *slot, in Exited, reason Reason) {
	abnormal := reason != ReasonCompleted
	switch {
	case abnormal && e.plan.FailFast:
		e.become(s, SlotFailed)
		e.beginStop(stopCause{decided: &Outcome{Code: in.ExitCode(), Reason: reason.end(), Slot: s.number}})
	case e.plan.Restart == RestartNever && abnormal:
		e.endSlot(s, SlotFailed)
	case e.plan.Restart != RestartAlways && !abnormal:
		e.endSlot(s, SlotCompleted)
		e.emit(SlotDone{s.number, len(e.slots.processes())})
	case !abnormal:
		e.backOff(s, false)
	default:
		e.restartLater(s)
	}
}

// endSlot leaves a slot as it is for good.
func (e *Engine) endSlot(s *slot, as SlotState) {
	s.finished = true
	e.clearDue(s)
	e.become(s, as)
}

// restartLater counts a failure against the slot's budget and backs off; it
// gives up when the budget is spent and no worker is ready.
func (e *Engine) restartLater(s *slot) {
	exhausted := s.failures.add(time.Now(), e.plan.MaxRestarts)
	if exhausted && !e.anyoneElseReady(s) {
		e.become(s, SlotFailed)
		e.beginStop(stopCause{decided: &Outcome{Code: s.lastCode, Reason: ReasonGaveUp, Slot: s.number, Err: s.startErr}})
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
	if s.worker != nil || s.closing || s.incarnations+1 != next {
		return
	}
	s.restartDue = true
	e.settle(s)
}

// settle does what an ended worker's leftovers have held up: the slot's next
// start, or its end.
func (e *Engine) settle(s *slot) {
	if e.plan.Leftovers == LeftoversKeep {
		e.forgetGone(s)
	}
	switch {
	case e.stopping():
	case s.closing:
		e.closeIfEmpty(s)
	case s.leaving != nil: // its end comes here again
	case len(s.leftovers) > 0 && e.plan.Leftovers != LeftoversKeep:
	case s.restartDue && s.worker == nil:
		e.start(s)
	}
}

// exitReason classifies the end of an incarnation.
func (w *worker) exitReason(in Exited) Reason {
	if w.blame != "" && !in.OOM {
		return w.blame
	}
	return exitReason(in.Status, w.sent, w.killed, in.OOM)
}

// tellToEnd asks one worker to end while the others go on, and sees to it that
// it does.
func (e *Engine) tellToEnd(w *worker, why string) {
	e.endWith(w, e.workerStopSignal(0), e.plan.Stop.Grace, why)
}

// endWith sends a worker the signal that should end it and, when that has not
// helped for the grace, SIGKILL.
func (e *Engine) endWith(w *worker, sig syscall.Signal, grace time.Duration, why string) {
	if w.sent != 0 || w.pid == 0 {
		return
	}
	w.sent, w.sentAt = sig, time.Now()
	e.emit(WorkerTold{w.slot.number, w.ref.Incarnation, w.pid, sig, why})
	e.system.Signal([]Ref{w.ref}, sig, e.plan.Group)
	e.system.Wake([]Ref{w.ref})
	w.endBy = w.sentAt.Add(grace)
	e.awaitEnd(w)
	e.showStopping(w)
}

func (e *Engine) awaitEnd(w *worker) {
	e.timers.after(time.Until(w.endBy), func() {
		_, now := e.incarnation(w.ref)
		switch {
		case now == nil || w.killed || e.stopping():
		case time.Now().Before(w.endBy): // it has asked for more time
			e.awaitEnd(w)
		default:
			w.killed = true
			e.emit(WorkerTold{w.ref.Slot, w.ref.Incarnation, w.pid, syscall.SIGKILL, "it has not ended in time"})
			e.system.Signal([]Ref{w.ref}, syscall.SIGKILL, true)
		}
	})
}
