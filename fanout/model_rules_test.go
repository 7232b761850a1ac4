package fanout

import (
	"slices"
	"time"
)

// This file is what has to hold in a model, whatever has happened.

func leads(l Launch) bool { return slices.Contains(l.Env, EnvLeader+"=1") }

// checkWorkerStart: a slot has one process, or two in a surge, and one leads.
func (m *model) checkWorkerStart(l Launch) {
	beside := 0
	for _, other := range m.launches[:len(m.launches)-1] {
		if other.Kind != KindWorker || !m.exists(other.Ref) {
			continue
		}
		if other.Slot == l.Slot {
			beside++
		}
		if leads(other) && leads(l) {
			m.violation("%v is to lead while %v does", l.Ref, other.Ref)
		}
		if other.Ref == l.Ref {
			m.violation("%v is started again", l.Ref)
		}
	}
	if beside > 0 && !l.Beside || beside > 1 {
		m.violation("%v is started while %d of its slot run", l.Ref, beside)
	}
	if m.engine.stopping() {
		m.violation("%v is started in a stop", l.Ref)
	}
	m.checkStart(l, m.engine.plan, m.violation)
}

// exists reports whether an incarnation runs or is about to.
func (m *model) exists(ref Ref) bool {
	return m.alive[ref] != 0 || slices.ContainsFunc(m.asked, func(l Launch) bool { return l.Ref == ref })
}

// check is called after everything that happens.
func (m *model) check() {
	e := m.engine
	ready, due, surging := 0, 0, 0
	for s := range e.slots.all() {
		if s.state == SlotReady {
			ready++
		}
		if s.due != "" {
			due++
		}
		if s.successor != nil {
			surging++
		}
	}
	if ready != e.ready || due != e.due {
		m.violation("%d slots are ready and %d due, counted are %d and %d", ready, due, e.ready, e.due)
	}
	if surging > e.plan.Disruption.MaxSurge {
		m.violation("%d slots surge", surging)
	}
	for pair := range m.taken {
		if !slices.Contains(transitions()[pair[0]], pair[1]) {
			m.violation("a slot went from %q to %q", pair[0], pair[1])
		}
	}
	if !m.stopped.IsZero() && m.now.Sub(m.stopped) > e.plan.Stop.Budget {
		m.violation("the stop takes %s of %s", m.now.Sub(m.stopped), e.plan.Stop.Budget)
	}
	switch {
	case m.done():
		m.checkDone()
	case m.quiet():
		m.checkQuiet()
	}
}

// quiet reports whether nothing happens any more unless somebody wants it.
func (m *model) quiet() bool {
	if len(m.asked) > 0 || m.sweeps > 0 || m.gone || len(m.engine.timers.heap) > 0 {
		return false
	}
	for ref := range m.alive {
		if _, told := m.told[ref]; told || m.killed[ref] || ref.Kind != KindWorker {
			return false
		}
	}
	return true
}

// checkQuiet: what was asked for has come about by then.
func (m *model) checkQuiet() {
	e := m.engine
	if e.phase != PhaseRunning {
		m.violation("brood is stuck while %s", e.phase)
	}
	if e.reload != nil {
		m.violation("a reload hangs")
	}
	if e.slots.open != e.wanted {
		m.violation("%d slots are open and %d wanted", e.slots.open, e.wanted)
	}
	for s := range e.slots.all() {
		if !s.finished && s.state != SlotReady || s.due != "" || s.underway != "" || s.successor != nil || s.leaving != nil {
			m.violation("slot %d hangs: it is %s, due for %q, in replacement for %q", s.number, s.state, s.due, s.underway)
		}
	}
}

// checkDone is called once brood has ended.
func (m *model) checkDone() {
	for ref := range m.alive {
		if !m.killed[ref] {
			m.violation("%v has outlived brood, and was not killed", ref)
		}
	}
	for _, l := range m.asked {
		if l.Kind == KindWorker && !m.discard {
			m.violation("the start of %v is forgotten", l.Ref)
		}
	}
	started, exited := map[Ref]int{}, map[Ref]int{}
	for _, ev := range m.events {
		switch ev := ev.(type) {
		case WorkerStarted:
			started[Ref{KindWorker, ev.Slot, ev.Incarnation}]++
		case WorkerExited:
			exited[Ref{KindWorker, ev.Slot, ev.Incarnation}]++
		}
	}
	for ref, n := range started {
		want := 1
		if m.alive[ref] != 0 {
			want = 0
		}
		if n != 1 || exited[ref] != want {
			m.violation("%v has started %d times and ended %d times", ref, n, exited[ref])
		}
	}
	if m.engine.plan.Finish.Defined() && m.started(KindFinish) != 1 {
		m.violation("the finish hook was started %d times", m.started(KindFinish))
	}
	if m.cleaned != 1 {
		m.violation("brood's files have gone %d times", m.cleaned)
	}
	if m.begun != m.ended {
		m.violation("%d reloads have begun and %d ended", m.begun, m.ended)
	}
	for i, answer := range m.answers {
		if len(answer) != 1 {
			m.violation("reload %d has %d answers", i+1, len(answer))
		}
	}
}

// leave lets brood end from here, with everybody quick or nobody alive to answer,
// and stops at what does not hold.
func (m *model) leave(quick bool) {
	m.left = chances{}
	if !m.engine.stopping() {
		m.left.stops = 1
		m.happen(choice{do: "stop"})
	}
	for range 1000 {
		all := m.choices()
		if m.done() || len(m.broken) > 0 || len(all) == 0 {
			break
		}
		if quick {
			m.happen(all[0])
		} else {
			m.happen(all[len(all)-1]) // time
		}
	}
	if !m.done() && len(m.broken) == 0 {
		m.violation("brood does not end, %s after its stop began", time.Since(m.stopped))
	}
}
