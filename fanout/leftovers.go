package fanout

import (
	"slices"
	"syscall"
	"time"
)

// What a worker leaves in its process group has this long to end by SIGTERM
// before it gets SIGKILL.
const leftoverGrace = time.Second

// leftoverPoll is how often a group is looked at; one system call each.
const leftoverPoll = 20 * time.Millisecond

// endLeftovers ends what an ended worker has left in its process group, so
// that its successor finds ports and files free. During a stop leftovers are
// stragglers, and the sweep ends them.
func (e *Engine) endLeftovers(s *slot, in Exited) {
	if !in.GroupAlive || e.stopping() {
		e.system.Forget(in.Ref)
		return
	}
	s.leftovers = append(s.leftovers, in.Ref)
	if e.plan.Leftovers == LeftoversKeep {
		e.emit(LeftoversFound{s.number, in.PID, 0})
		return
	}
	e.emit(LeftoversFound{s.number, in.PID, syscall.SIGTERM})
	e.system.Signal([]Ref{in.Ref}, syscall.SIGTERM, true)
	e.awaitLeftovers(s, in, time.Now().Add(leftoverGrace), syscall.SIGKILL)
}

// awaitLeftovers looks again and again until the group is empty, sends it next
// at the deadline, and stops waiting for what outlives even SIGKILL: only a
// process in the kernel's hands does.
func (e *Engine) awaitLeftovers(s *slot, in Exited, deadline time.Time, next syscall.Signal) {
	e.timers.after(leftoverPoll, func() {
		switch {
		case e.stopping():
			e.forget(s, in.Ref)
			return
		case !e.system.GroupAlive(in.Ref):
		case time.Now().Before(deadline):
			e.awaitLeftovers(s, in, deadline, next)
			return
		case next == syscall.SIGKILL:
			e.emit(LeftoversFound{s.number, in.PID, syscall.SIGKILL})
			e.system.Signal([]Ref{in.Ref}, syscall.SIGKILL, true)
			e.awaitLeftovers(s, in, deadline.Add(leftoverGrace), 0)
			return
		default:
			e.emit(Abandoned{What: "leftovers of a worker that SIGKILL does not end"})
		}
		e.forget(s, in.Ref)
		e.settle(s)
	})
}

func (e *Engine) forget(s *slot, ref Ref) {
	e.system.Forget(ref)
	s.leftovers = slices.DeleteFunc(s.leftovers, func(r Ref) bool { return r == ref })
}

// forgetGone drops the leftovers that have ended by themselves.
func (e *Engine) forgetGone(s *slot) {
	for _, ref := range slices.Clone(s.leftovers) {
		if !e.system.GroupAlive(ref) {
			e.forget(s, ref)
		}
	}
}

// orphansReaped counts for each slot what its workers have left to brood.
func (e *Engine) orphansReaped(in OrphansReaped) {
	for number, n := range in.Origins.Slots {
		if s := e.slots.get(number); s != nil {
			s.orphans += n
			e.touch(s)
		}
	}
	e.emit(OrphansAdopted(in))
}
