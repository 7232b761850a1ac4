package fanout

import (
	"errors"
	"slices"
	"syscall"

	"github.com/brood-init/brood/reaper"
)

// This file is what a model tells its engine.

var errSaysNo = errors.New("it says no")

func (m *model) input(c choice) Input {
	switch c.do {
	case "started":
		m.answered(c.Ref)
		m.nextPID++
		m.alive[c.Ref] = m.nextPID
		return Started{c.Ref, m.nextPID, m.now}
	case "not started":
		m.answered(c.Ref)
		if c.Kind != KindWorker || !m.discard {
			m.left.failures--
		}
		return StartFailed{Ref: c.Ref, Err: errNoFork}
	case "obeys":
		sig := syscall.SIGTERM
		if m.killed[c.Ref] {
			sig = syscall.SIGKILL
		}
		return m.exited(c.Ref, reaper.Status{Signal: sig})
	case "crashes":
		m.left.crashes--
		return m.exited(c.Ref, reaper.Status{Code: 1})
	case "litters":
		m.left.litters--
		m.leftovers[c.Ref], m.littered[c.Ref] = true, m.now
		in := m.exited(c.Ref, reaper.Status{Code: 1})
		in.GroupAlive = true
		return in
	case "fails":
		m.left.hooks--
		return m.exited(c.Ref, reaper.Status{Code: 1})
	case "ends":
		if c.Kind == KindWorker {
			m.left.ends--
		}
		return m.exited(c.Ref, reaper.Status{})
	case "ready":
		m.said[c.Ref] = true
		return Notified{Ref: c.Ref, Ready: true}
	case "yes", "no":
		m.probing = slices.DeleteFunc(m.probing, func(r Ref) bool { return r == c.Ref })
		if c.do == "yes" {
			return Probed{Ref: c.Ref}
		}
		m.left.noes--
		return Probed{c.Ref, errSaysNo}
	case "swept":
		m.sweeps--
		return Swept{}
	case "cleaned up":
		m.gone = false
		return CleanedUp{}
	}
	return m.order(c)
}

// order is what comes from outside.
func (m *model) order(c choice) Input {
	switch c.do {
	case "stop", "stop later":
		m.left.stops--
		m.hasty = m.hasty || m.engine.stopping() && !m.pressed.IsZero() && m.now.Sub(m.pressed) >= sameRequest
		m.pressed = m.now
		return SignalArrived{syscall.SIGTERM}
	case "reload":
		m.left.reloads--
		return ReloadAsked{m.answer()}
	case "up":
		m.left.ups--
		for s := range m.engine.slots.all() {
			if s.closing { // it is taken back, and does not wait
				delete(m.waits, s.number)
			}
		}
		return ScaleAsked{Scale: Scale{Relative: true, N: 1}}
	case "down":
		m.left.downs--
		return ScaleAsked{Scale: Scale{Relative: true, N: -1}}
	case "joins":
		m.left.joins--
		m.joined[5000+m.left.joins] = &joined{}
		return nil
	case "leaves":
		delete(m.joined, c.Slot)
		return nil
	case "is cleared":
		delete(m.leftovers, c.Ref)
		delete(m.dying, c.Ref)
		return nil
	case "seen":
		return m.see()
	}
	panic("nobody knows how to " + c.do)
}

func (m *model) answered(ref Ref) {
	m.asked = slices.DeleteFunc(m.asked, func(l Launch) bool { return l.Ref == ref })
}

func (m *model) exited(ref Ref, s reaper.Status) Exited {
	pid := m.alive[ref]
	delete(m.alive, ref)
	return Exited{Ref: ref, Exit: reaper.Exit{PID: pid, Status: s, At: m.now}}
}
