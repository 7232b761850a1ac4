package fanout

import (
	"syscall"
	"time"
)

// sameRequest is how close two stop signals must be to count as one: timeout(1)
// and a Ctrl-C that npm passes on deliver doubles.
const sameRequest = 100 * time.Millisecond

// signalArrived does what the table says.
func (e *Engine) signalArrived(sig syscall.Signal) {
	action, ok := e.plan.Signals[sig]
	if !ok {
		action.Kind = ActionIgnore
	}
	e.emit(SignalReceived{sig, action.Kind})
	if sig == syscall.SIGCONT && e.resumeForeground() {
		return
	}
	switch action.Kind {
	case ActionStop:
		e.stopRequested(sig)
	case ActionForward:
		e.forward(action.Signal)
	case ActionReload:
		e.reloadAsked(nil)
	case ActionScaleUp:
		e.scaleAsked(ScaleAsked{Scale: Scale{Relative: true, N: 1}})
	case ActionScaleDown:
		e.scaleAsked(ScaleAsked{Scale: Scale{Relative: true, N: -1, Least: 1}})
	}
}

// stopRequested begins the stop, or ends the current phase of the one that is
// under way.
func (e *Engine) stopRequested(sig syscall.Signal) {
	now := time.Now()
	first := e.stop.signalled.IsZero()
	same := !first && now.Sub(e.stop.signalled) < sameRequest
	e.stop.signalled = now
	switch {
	case same:
	case !e.stopping():
		e.beginStop(stopCause{signal: sig})
	case first: // brood was leaving by itself: this is the request, no haste
	case e.plan.SecondSignal == SecondSignalHasten:
		e.hasten()
	}
}

// hasten ends the current phase. The finish hook is bounded and always runs.
func (e *Engine) hasten() {
	switch e.phase {
	case PhaseDraining:
		e.emit(StopHastened{e.phase})
		e.terminate()
	case PhaseTerminating:
		e.emit(StopHastened{e.phase})
		e.killRemaining()
	case PhaseSweeping:
		e.emit(StopHastened{e.phase})
		e.killStragglers()
	}
}

// forward passes a signal to every worker once. A worker whose start is under
// way gets it as soon as it runs; one in backoff is nobody.
func (e *Engine) forward(sig syscall.Signal) {
	if e.phase == PhasePreparing {
		if len(e.early) < maxPending {
			e.early = append(e.early, sig)
		}
		return
	}
	n := 0
	if running := e.slots.processes(); len(running) > 0 {
		n = e.system.Signal(refs(running), sig, e.plan.Group)
	}
	for s := range e.slots.all() {
		for _, w := range s.processes() {
			if w.pid == 0 && len(w.pending) < maxPending {
				w.pending = append(w.pending, sig)
				n++
			}
		}
	}
	e.emit(SignalForwarded{sig, n})
}

// resumeForeground is what a shell's fg expects: the worker owns the terminal
// again, and goes on if it was stopped with brood. It reports whether the worker
// has got its SIGCONT by that.
func (e *Engine) resumeForeground() (resumed bool) {
	if !e.plan.InheritStdin {
		return false
	}
	for _, w := range e.slots.processes() {
		e.system.GiveTerminal(w.ref)
		if e.suspended {
			e.system.Signal([]Ref{w.ref}, syscall.SIGCONT, true)
		}
	}
	resumed, e.suspended = e.suspended, false
	return resumed
}
