package fanout

import (
	"slices"
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/expand"
)

// This file is the System of a model: it notes what is asked for.

func (m *model) Start(l Launch) {
	m.launches = append(m.launches, l)
	switch l.Kind {
	case KindWorker:
		m.checkWorkerStart(l)
	case KindFinish:
		m.checkFinishStart()
	case KindExitHook:
		m.checkExitHookStart(l)
	}
	m.asked = append(m.asked, l)
}

func (m *model) Probe(of Ref, _ Prober, _ expand.Values, _ time.Duration) {
	if slices.Contains(m.probing, of) {
		m.violation("%v is asked again before it has answered", of)
	}
	m.probing = append(m.probing, of)
}

func (m *model) Registered(sig syscall.Signal) {
	if m.engine.plan.PIDFiles == nil {
		m.violation("registered processes are asked for without a directory")
	}
	if sig == syscall.SIGKILL && !m.graceOver() {
		m.violation("registered processes are killed before their grace is over")
	}
	m.looks = append(m.looks, sig)
}

// see is one look at the registered processes.
func (m *model) see() RegisteredSeen {
	sig := m.looks[0]
	m.looks = m.looks[1:]
	seen := RegisteredSeen{Signal: sig}
	for pid, one := range m.joined {
		p := RegisteredProcess{Index: pid, PID: pid}
		seen.Alive = append(seen.Alive, p)
		one.known = one.known || !m.graceOver() // else nobody has the time to end it
		switch {
		case sig == syscall.SIGTERM && !one.told:
			one.told = true
			seen.Signalled = append(seen.Signalled, p)
		case sig == syscall.SIGKILL && !one.killed:
			one.killed = true
			seen.Signalled = append(seen.Signalled, p)
		}
	}
	return seen
}

func (m *model) DiscardStarts()       { m.discard = true }
func (m *model) Inspect([]Ref)        {} // changes nothing
func (m *model) Sweep(syscall.Signal) { m.sweeps++ }
func (m *model) Cleanup()             { m.cleaned, m.gone = m.cleaned+1, true }
func (m *model) Descendants() bool    { return len(m.alive) > 0 }
func (m *model) KillAll()             { m.violation("everybody is killed") }
func (m *model) WritePIDFile(ref Ref) { m.files = append(m.files, ref) }

func (m *model) GroupAlive(ref Ref) bool { return m.leftovers[ref] || m.dying[ref] }

func (m *model) Signal(refs []Ref, sig syscall.Signal, _ bool) (n int) {
	for _, ref := range refs {
		if m.alive[ref] == 0 {
			if ref.Kind == KindWorker && !m.GroupAlive(ref) {
				m.violation("%v gets %v, and does not run", ref, sig)
			}
			if sig == syscall.SIGKILL && m.leftovers[ref] { // it does nothing any more
				delete(m.leftovers, ref)
				m.dying[ref] = true
			}
			continue
		}
		n++
		if sig == syscall.SIGKILL {
			m.killed[ref] = true
			if !m.mayBeKilled(ref) {
				m.violation("%v is killed before its time is over", ref)
			}
			continue
		}
		if _, twice := m.told[ref]; twice || m.killed[ref] {
			m.violation("%v is told to stop again", ref)
		}
		m.told[ref] = m.now
		if sig == syscall.SIGABRT {
			m.grace[ref] = abortGrace
		}
	}
	return n
}

// mayBeKilled reports whether a process has had its time.
func (m *model) mayBeKilled(ref Ref) bool {
	if ref.Kind != KindWorker {
		return true
	}
	grace, special := m.grace[ref]
	if !special {
		grace = m.engine.plan.Stop.Grace
	}
	told, ok := m.told[ref]
	return ok && m.now.Sub(told) >= grace || m.graceOver()
}

// graceOver reports whether the stop has gone beyond the workers' time.
func (m *model) graceOver() bool {
	stop := m.engine.plan.Stop
	return m.hasty || m.engine.phase == PhaseSweeping || !m.stopped.IsZero() && m.now.Sub(m.stopped) >= stop.Drain+stop.Grace
}

func (m *model) observe(_ time.Time, ev Event) {
	m.events = append(m.events, ev)
	m.follow(ev)
	if !m.replayed {
		m.checkDisruption(ev, m.engine.plan, m.violation)
		m.checkReload(ev, m.violation)
	}
}

// follow looks at what is told.
func (m *model) follow(ev Event) {
	switch ev := ev.(type) {
	case SlotEntered:
		m.taken[[2]SlotState{ev.From, ev.To}]++
		if ev.To == "" {
			delete(m.waits, ev.Slot)
		}
		if !slices.Contains(transitions()[ev.From], ev.To) {
			m.violation("slot %d went from %q to %q", ev.Slot, ev.From, ev.To)
		}
	case StopBegan:
		m.stopped = m.now
		if ev.Reason == ReasonGaveUp && m.engine.ready > 0 {
			m.violation("brood gives up while a worker is ready")
		}
	case PhaseEntered:
		m.followPhase(ev.Phase)
	case WorkerExited:
		m.why[ev.Slot] = ev.Reason
	case BackingOff:
		m.waits[ev.Slot] = m.now.Add(ev.Delay)
		if over := ev.Failures > m.engine.plan.MaxRestarts.Failures; over != ev.Failed || over && m.engine.ready == 0 {
			m.violation("slot %d waits after %d failures, as a failed one: %t", ev.Slot, ev.Failures, ev.Failed)
		}
		if m.why[ev.Slot] == ReasonStopped {
			m.violation("slot %d has to wait although its worker did as it was told", ev.Slot)
		}
	case ReplacementFailed:
		m.failed = m.failed || ev.Cause == CauseReload
	case ReloadBegan:
		m.begun++
		m.failed = false
		m.checkReloadBegan(ev)
	case ReloadEnded:
		m.ended++
		if m.failed && ev.Err == nil {
			m.violation("a reload is well although it has failed in a slot")
		}
	}
}

func (m *model) followPhase(now Phase) {
	switch now {
	case PhaseTerminating:
		m.checkDrained()
	case PhaseSweeping:
		if m.stopped.IsZero() {
			m.stopped = m.now
			if len(m.joined) > 0 {
				m.violation("brood goes by itself while a registered process is there")
			}
		}
	case PhaseLeaving:
		m.latest = latest(m.engine.stop.finish, m.now).Add(exitReserve)
		m.bad = m.somebodyFailed()
	}
}
