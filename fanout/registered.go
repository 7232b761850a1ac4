package fanout

import (
	"syscall"
	"time"
)

// lookAtRegistered asks who is registered; each gets sig once, 0 is none.
func (e *Engine) lookAtRegistered(sig syscall.Signal) {
	if e.plan.PIDFiles == nil {
		return
	}
	e.looks++
	e.system.Registered(sig)
}

// pollRegistered looks again every so often for as long as the phase lasts: a
// registered process is no child of ours whose end would be announced, and
// more of them may come.
func (e *Engine) pollRegistered(phase Phase, every time.Duration, sig syscall.Signal) {
	if e.plan.PIDFiles == nil {
		return
	}
	e.timers.after(every, func() {
		if e.phase != phase {
			return
		}
		if e.looks == 0 && (phase != PhaseSweeping || len(e.registered) > 0) {
			e.lookAtRegistered(sig)
		}
		e.pollRegistered(phase, every, sig)
	})
}

func (e *Engine) registeredSeen(in RegisteredSeen) {
	e.looks--
	for _, err := range in.Problems {
		e.emit(PIDFileRefused{err})
	}
	alive := make(map[int]RegisteredProcess, len(in.Alive))
	for _, p := range in.Alive {
		alive[p.PID] = p
		if _, known := e.registered[p.PID]; !known {
			e.emit(RegisteredFound{p})
		}
	}
	for pid, p := range e.registered {
		if _, still := alive[pid]; !still {
			e.emit(RegisteredEnded{p})
		}
	}
	e.registered = alive
	e.dirty = true
	for _, p := range in.Signalled {
		e.emit(RegisteredSignalled{p, in.Signal})
		if in.Signal == syscall.SIGKILL {
			e.stop.registeredKilled = true
		}
	}
}
