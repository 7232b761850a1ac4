package fanout

import (
	"syscall"
	"time"

	"github.com/brood-init/brood/reaper"
)

// This file is the stop, from the request to the last line, in the order in
// which it happens. Every step has a latest end on the clock (deadlines), and
// what it does not use goes to the next one.

// stopCause is why everybody is stopped.
type stopCause struct {
	signal  syscall.Signal // the stop signal that arrived, 0 for none
	decided *Outcome       // the outcome, when the cause fixes it
}

// stopState is what is known about the stop under way.
type stopState struct {
	deadlines
	signal    syscall.Signal // what workers get
	requested bool           // brood was asked to stop, and that is why it does
	signalled time.Time      // when the last stop signal arrived
	decided   *Outcome
	exits     []countedExit // workers that ended during the stop

	registeredKilled bool
	sweepSignal      syscall.Signal
	passes           int // sweep passes under way
	emptyPasses      int // since the last one that found somebody
	left             []Straggler
	lastSweep        bool // the pass over what the finish hook left is under way
	cleaned          bool // brood's files are gone
}

// How often what cannot announce its end is looked at during a stop.
const (
	sweepPoll      = 20 * time.Millisecond
	registeredPoll = 25 * time.Millisecond
)

// beginStop is step 1: nothing is restarted any more, readiness is off. Workers
// go on serving for the drain delay, so that whoever routes to them can stop.
func (e *Engine) beginStop(cause stopCause) {
	if e.stopping() {
		return
	}
	now := time.Now()
	preparing := e.phase == PhasePreparing
	e.abortReload()
	e.stop.deadlines = e.plan.Stop.from(now)
	e.stop.requested = cause.decided == nil
	e.stop.decided = cause.decided
	e.stop.signal = e.workerStopSignal(cause.signal)
	e.emit(StopBegan{e.stopReason(), cause.signal, e.stop.signal, e.plan.Stop})
	e.system.DiscardStarts()
	e.timers.at(e.stop.grace, e.graceElapsed)
	if preparing || e.plan.Stop.Drain == 0 || len(e.slots.processes()) == 0 {
		e.terminate()
		return
	}
	e.enter(PhaseDraining)
	e.timers.at(e.stop.drain, e.drainElapsed)
}

func (e *Engine) workerStopSignal(arrived syscall.Signal) syscall.Signal {
	switch {
	case e.plan.StopSignal != 0:
		return e.plan.StopSignal
	case arrived != 0:
		return arrived
	}
	return syscall.SIGTERM
}

func (e *Engine) stopReason() Reason {
	if e.stop.decided != nil {
		return e.stop.decided.Reason
	}
	return ReasonRequested
}

func (e *Engine) drainElapsed() {
	if e.phase == PhaseDraining {
		e.terminate()
	}
}

// terminate is step 2: the stop signal to every worker and SIGTERM to every
// registered process, at once. Who was told to end before is not told again.
func (e *Engine) terminate() {
	drained := e.phase == PhaseDraining
	e.enter(PhaseTerminating)
	var told []*worker
	for _, w := range e.slots.processes() {
		if w.sent == 0 {
			told = append(told, w)
		}
	}
	e.system.Signal(refs(told), e.stop.signal, e.plan.Group)
	e.system.Wake(refs(told))
	for _, w := range told {
		e.toldToStop(w)
	}
	if drained {
		e.emit(StopSignalSent{e.stop.signal, len(told)})
	}
	e.system.CloseSockets()
	e.killProbes()
	e.askPrepareToEnd()
	e.lookAtRegistered(syscall.SIGTERM)
	e.pollRegistered(PhaseTerminating, registeredPoll, syscall.SIGTERM)
	half := time.Now().Add(time.Until(e.stop.grace) / 2)
	e.timers.at(half, e.halfGraceElapsed)
}

func (e *Engine) toldToStop(w *worker) {
	w.sent, w.sentAt = e.stop.signal, time.Now()
	e.showStopping(w)
}

// showStopping makes a slot stopping with its worker; one that is left from
// before changes nothing.
func (e *Engine) showStopping(w *worker) {
	if s := w.slot; s.worker == w && s.state != SlotStopping {
		e.become(s, SlotStopping)
	}
}

// stopLateStart is for a worker whose start was under way when the stop began.
func (e *Engine) stopLateStart(w *worker) {
	switch e.phase {
	case PhaseDraining:
	case PhaseTerminating:
		e.toldToStop(w)
		e.system.Signal([]Ref{w.ref}, e.stop.signal, e.plan.Group)
	default:
		e.killWorkers([]*worker{w})
	}
}

// sweepIfAllEnded is step 3: the wait for workers, the prepare hook and
// registered processes.
func (e *Engine) sweepIfAllEnded() {
	for s := range e.slots.all() {
		if !s.empty() {
			return
		}
	}
	if e.prepare.running() {
		return
	}
	if e.phase == PhaseDraining {
		e.terminate() // nobody is left who could serve
		return
	}
	if e.looks == 0 && len(e.registered) == 0 {
		e.sweep()
	}
}

// halfGraceElapsed says who is slow while there is time to find out why.
func (e *Engine) halfGraceElapsed() {
	if e.phase != PhaseTerminating {
		return
	}
	if slow := e.slots.processes(); len(slow) > 0 {
		e.system.Wake(refs(slow))
		e.system.Inspect(refs(slow))
	}
}

func (e *Engine) inspected(in Inspected) {
	for _, p := range in.Processes {
		if _, w := e.incarnation(p.Ref); w != nil {
			e.emit(StillRunning{p})
		}
	}
}

func (e *Engine) graceElapsed() {
	if e.phase == PhaseDraining || e.phase == PhaseTerminating {
		e.killRemaining()
	}
}

// killRemaining is step 4: the grace is over, SIGKILL to what remains.
func (e *Engine) killRemaining() {
	remaining := e.slots.processes()
	e.emit(GraceOver{len(remaining), len(e.registered)})
	e.killWorkers(remaining)
	e.killPrepare()
	if len(e.registered) > 0 {
		e.lookAtRegistered(syscall.SIGKILL)
	}
	e.sweep()
}

func (e *Engine) killWorkers(workers []*worker) {
	e.system.Signal(refs(workers), syscall.SIGKILL, true)
	for _, w := range workers {
		w.killed = true
		e.showStopping(w)
	}
}

// sweep is step 5: what the workers have left behind gets SIGTERM, the sweep's
// share of the budget, and SIGKILL.
func (e *Engine) sweep() {
	e.enter(PhaseSweeping)
	e.stop.sweepSignal = syscall.SIGTERM
	// Whatever the budget: what was killed needs a moment to be gone.
	e.stop.sweep = earliest(latest(e.stop.sweep, time.Now().Add(exitReserve)), e.stop.finish)
	share := time.Until(e.stop.sweep)
	// A killed process needs a moment to be gone before the finish hook.
	e.timers.at(e.stop.sweep.Add(-min(100*time.Millisecond, share/4)), e.killStragglers)
	e.timers.at(e.stop.sweep, e.sweepElapsed)
	e.pollRegistered(PhaseSweeping, registeredPoll, syscall.SIGKILL)
	e.killProbes() // those that workers which ended by themselves have left
	e.sweepPass()
}

func (e *Engine) sweepPass() {
	if e.phase != PhaseSweeping || !e.system.Descendants() {
		return
	}
	e.stop.passes++
	e.system.Sweep(e.stop.sweepSignal)
}

func (e *Engine) swept(in Swept) {
	if in.Signalled > 0 {
		e.emit(StragglersSignalled{in.Signal, in.Left})
	}
	if e.phase == PhaseLeaving {
		if e.stop.passes > 0 {
			e.stop.passes-- // one that the sweep had begun
			return
		}
		e.stop.lastSweep = false
		e.goneIfDone()
		return
	}
	e.stop.passes--
	e.stop.left = in.Left
	e.stop.emptyPasses++
	if len(in.Left) > 0 {
		e.stop.emptyPasses = 0
	}
	if e.phase == PhaseSweeping && e.stop.passes == 0 {
		e.timers.after(sweepPoll, e.sweepPass)
	}
}

func (e *Engine) killStragglers() {
	if e.phase != PhaseSweeping || e.stop.sweepSignal == syscall.SIGKILL {
		return
	}
	e.stop.sweepSignal = syscall.SIGKILL
	e.killExitHooks()
	e.sweepPass()
}

// finishIfSwept ends the sweep as soon as nobody is left. One empty pass is not
// enough: a process that forks while /proc is read can be missed.
func (e *Engine) finishIfSwept() {
	for s := range e.slots.all() {
		if !s.empty() {
			return
		}
	}
	switch {
	case e.prepare.running(), e.exitHooks.busy(), len(e.probes) > 0, e.looks > 0, len(e.registered) > 0:
		return
	case !e.system.Descendants(), e.stop.passes == 0 && e.stop.emptyPasses > 1:
		e.startFinish()
	}
}

func (e *Engine) sweepElapsed() {
	if e.phase != PhaseSweeping {
		return
	}
	for s := range e.slots.all() {
		if !s.empty() {
			e.emit(Abandoned{What: "a worker that SIGKILL does not end"})
		}
	}
	for range e.stop.left {
		e.emit(Abandoned{What: "a straggler that SIGKILL does not end"})
	}
	e.startFinish()
}

// startFinish is step 6: the finish hook, if anything was ever begun. It may
// use everything that is left of the budget.
func (e *Engine) startFinish() {
	e.enter(PhaseFinishing)
	if !e.finishWanted() {
		e.leave()
		return
	}
	e.launchFinish(e.ending().outcome())
	e.timers.at(e.stop.finish, e.finishElapsed)
}

// leave is step 7: brood's files go, and then brood.
func (e *Engine) leave() {
	e.enter(PhaseLeaving)
	e.outcome = e.ending().outcome()
	// What is left of the budget is for the files: thousands of them on a busy
	// disk take longer than the reserve.
	e.timers.at(latest(e.stop.finish, time.Now()).Add(exitReserve), e.gone)
	e.system.Cleanup()
	if e.system.Descendants() {
		// The finish hook's own leftovers: without a PID 1 above that ends them
		// they would outlive brood.
		e.stop.lastSweep = true
		e.system.Sweep(syscall.SIGKILL)
	}
}

// cleanedUp is told that brood's files are gone, and with the last sweep done
// nothing holds brood any more.
func (e *Engine) cleanedUp() {
	e.stop.cleaned = true
	e.goneIfDone()
}

func (e *Engine) goneIfDone() {
	if e.stop.cleaned && !e.stop.lastSweep {
		e.gone()
	}
}

func (e *Engine) gone() {
	if e.phase == PhaseLeaving {
		e.enter(PhaseDone)
	}
}

// endIfNobodyIsLeft is the way out without a stop request: every worker has
// completed, and nobody is registered any more.
func (e *Engine) endIfNobodyIsLeft() {
	if e.slots.lowest() == nil {
		return // no worker is wanted: brood stays up and can be told otherwise
	}
	for s := range e.slots.all() {
		if !s.finished || !s.empty() {
			return
		}
	}
	if e.naturalEnd && !e.waiting && e.looks == 0 && len(e.registered) > 0 {
		e.waiting = true
		e.emit(WaitingForRegistered{len(e.registered)})
	}
	if !e.naturalEnd {
		e.naturalEnd = true
		e.lookAtRegistered(0)
		e.pollRegistered(PhaseRunning, 8*registeredPoll, 0)
	}
	if e.looks == 0 && len(e.registered) == 0 {
		e.stop.deadlines = e.plan.Stop.afterNaturalEnd(time.Now())
		e.sweep()
	}
}

// ending gathers what decides the exit code.
func (e *Engine) ending() ending {
	x := ending{
		decided:          e.stop.decided,
		requested:        e.stop.requested,
		exits:            e.stop.exits,
		registeredKilled: e.stop.registeredKilled,
		finish:           e.finish.result,
		codes:            e.plan.ExitCodes,
	}
	for s := range e.slots.all() {
		for _, w := range s.processes() {
			if w.killed { // and not reaped yet, for whatever reason
				x.exits = append(x.exits, countedExit{s.number, time.Now(), reaper.Status{Signal: syscall.SIGKILL}, ReasonKilled})
			}
		}
	}
	if !e.stop.requested && e.stop.decided == nil {
		for s := range e.slots.all() {
			if s.last != nil {
				x.exits = append(x.exits, *s.last)
			}
		}
	}
	return x
}
