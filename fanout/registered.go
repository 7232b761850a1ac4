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

// lookAsked is for those who want to see. A stop looks by itself, and must not
// wait for more looks.
func (e *Engine) lookAsked(answer chan<- struct{}) {
	if e.plan.PIDFiles == nil || e.stopping() {
		close(answer)
		return
	}
	e.lookers = append(e.lookers, answer)
	if e.looks == 0 {
		e.lookAtRegistered(0)
	}
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
	if len(e.lookers) > 0 {
		e.publish()
		for _, answer := range e.lookers {
			close(answer)
		}
		e.lookers = nil
	}
	for _, p := range in.Signalled {
		e.emit(RegisteredSignalled{p, in.Signal})
		if in.Signal == syscall.SIGKILL {
			e.stop.registeredKilled = true
		}
	}
}
