package fanout

import (
	"syscall"
	"time"
)

// emergency is the way out after a panic in the engine: its state cannot be
// trusted any more, so nothing here looks at the slots. Everything that was
// started or registered is killed, the finish hook runs if it has not, and
// brood's files go.
func (e *Engine) emergency(value any, stack []byte) Outcome {
	o := Outcome{Code: CodeInternal, Reason: ReasonInternal}
	e.tell(Panicked{value, stack})
	e.system.DiscardStarts()
	e.system.KillAll()
	if e.plan.PIDFiles != nil {
		e.system.Registered(syscall.SIGKILL)
	}
	end := time.Now().Add(e.plan.Stop.Budget - exitReserve)
	if e.plan.Finish.Defined() && !e.finish.asked {
		e.launchFinish(o)
		e.waitFor(end, func(in Input) bool {
			switch in := in.(type) {
			case Exited:
				return in.Kind == KindFinish
			case TaskEnded:
				return in.Kind == KindFinish
			case StartFailed:
				return in.Kind == KindFinish
			}
			return false
		})
		e.system.KillAll()
	}
	e.system.Cleanup()
	e.waitFor(time.Now().Add(exitReserve), func(in Input) bool {
		_, done := in.(CleanedUp)
		return done
	})
	e.tell(Exiting{o})
	return o
}

// tell emits an event although an observer may be what has panicked.
func (e *Engine) tell(ev Event) {
	defer func() { _ = recover() }()
	e.emit(ev)
}

// waitFor drains the inputs until one is wanted or the time is over.
func (e *Engine) waitFor(end time.Time, wanted func(Input) bool) {
	timeout := time.NewTimer(time.Until(end))
	defer timeout.Stop()
	for {
		select {
		case in := <-e.inputs:
			if wanted(in) {
				return
			}
		case <-timeout.C:
			return
		}
	}
}
