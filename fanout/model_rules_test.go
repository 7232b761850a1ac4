package fanout

import (
	"slices"
)

// This file is what has to hold in a model, whatever has happened.

func leads(l Launch) bool { return slices.Contains(l.Env, EnvLeader+"=1") }

// checkWorkerStart: a slot has one process, or two in a surge, and one leads.
func (m *model) checkWorkerStart(l Launch) {
	beside, seen := 0, map[Ref]bool{}
	for _, other := range m.launches[:len(m.launches)-1] {
		if other.Kind != KindWorker || !m.exists(other.Ref) || seen[other.Ref] {
			continue
		}
		seen[other.Ref] = true // a start that has failed has the same one
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
	e := m.engine
	if e.stopping() {
		m.violation("%v is started in a stop", l.Ref)
	}
	if e.plan.Prepare.Defined() && (e.prepare.result == nil || e.prepare.result.code != 0) {
		m.violation("%v is started although the prepare hook has not ended well", l.Ref)
	}
	// A reload does not wait for that.
	if s := e.slots.get(l.Slot); s.underway == "" && m.now.Before(m.waits[l.Slot]) {
		m.violation("%v is started before its backoff is over", l.Ref)
	}
	for ref, since := range m.littered {
		if m.GroupAlive(ref) && e.plan.Leftovers == LeftoversKill && ref.Slot == l.Slot && m.now.Sub(since) < 2*leftoverGrace {
			m.violation("%v is started while something is left of %v", l.Ref, ref)
		}
	}
	delete(m.waits, l.Slot)
	delete(m.why, l.Slot)
	m.checkStart(l, e.plan, m.violation)
}

// exists reports whether an incarnation runs or is about to.
func (m *model) exists(ref Ref) bool {
	return m.alive[ref] != 0 || slices.ContainsFunc(m.asked, func(l Launch) bool { return l.Ref == ref })
}

// checkFinishStart: everybody is gone, or was killed and is not gone in time.
func (m *model) checkFinishStart() {
	early := m.now.Before(m.engine.stop.sweep)
	for ref := range m.alive {
		if early || !m.killed[ref] {
			m.violation("the finish hook starts while %v runs; that it was killed is %t", ref, m.killed[ref])
		}
	}
	for _, l := range m.asked {
		if early {
			m.violation("the finish hook starts while %v does, although there is time", l.Ref)
		}
	}
}

// checkExitHookStart: they run one at a time in a slot, in the order of the ends.
func (m *model) checkExitHookStart(l Launch) {
	for _, other := range m.launches[:len(m.launches)-1] {
		if other.Kind != KindExitHook || other.Slot != l.Slot {
			continue
		}
		if m.exists(other.Ref) {
			m.violation("%v is started beside %v", l.Ref, other.Ref)
		}
		if other.Incarnation >= l.Incarnation {
			m.violation("%v is started after %v", l.Ref, other.Ref)
		}
	}
}

// check is called after everything that happens.
func (m *model) check() {
	if m.replayed {
		return
	}
	m.checkCounts()
	m.checkTold()
	e := m.engine
	if !m.stopped.IsZero() && m.now.Sub(m.stopped) > e.plan.Stop.Budget {
		m.violation("the stop takes %s of %s", m.now.Sub(m.stopped), e.plan.Stop.Budget)
	}
	if e.phase == PhasePreparing && e.plan.Prepare.Timeout > 0 && len(e.timers.heap) == 0 {
		m.violation("the prepare hook may take for ever")
	}
	switch {
	case m.done():
		m.checkDone()
	case m.quiet():
		m.checkQuiet()
	}
}

func (m *model) checkCounts() {
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
}

// checkDrained: who drains serves.
func (m *model) checkDrained() {
	early := !m.hasty && m.now.Sub(m.stopped) < m.engine.plan.Stop.Drain
	for ref := range m.alive {
		if _, told := m.told[ref]; early && ref.Kind == KindWorker && !told {
			m.violation("%v is to be told to stop before the drain is over", ref)
		}
	}
}

// checkTold: in a stop everybody has heard of it once the drain is over, and
// nobody is spared once the grace is.
func (m *model) checkTold() {
	phase := m.engine.phase
	for ref := range m.alive {
		_, told := m.told[ref]
		switch {
		case ref.Kind == KindProbe && (phase == PhaseTerminating || phase == PhaseSweeping) && !m.killed[ref]:
			m.violation("%v goes on while brood is %s", ref, phase)
		case ref.Kind != KindWorker && ref.Kind != KindPrepare:
		case phase == PhaseTerminating && !told && !m.killed[ref]:
			m.violation("%v was not told of the stop", ref)
		case phase == PhaseSweeping && !m.killed[ref]:
			m.violation("%v is spared", ref)
		}
	}
}

// checkHaste: a further stop signal, later than a doubled one would be, has ended
// the phase.
func (m *model) checkHaste(before Phase) {
	if m.hasty && (before == PhaseDraining || before == PhaseTerminating) && m.engine.phase == before {
		m.violation("brood is %s, however often it is asked to stop", before)
	}
}

// checkReloadBegan: it is of everybody who works or will.
func (m *model) checkReloadBegan(ev ReloadBegan) {
	all := 0
	for s := range m.engine.slots.all() {
		if !s.finished && !s.closing {
			all++
		}
	}
	if ev.Slots != all {
		m.violation("a reload is of %d slots, and there are %d", ev.Slots, all)
	}
}

// quiet reports whether nothing happens any more unless somebody wants it.
func (m *model) quiet() bool {
	if len(m.asked) > 0 || len(m.probing) > 0 || len(m.looks) > 0 || m.sweeps > 0 || m.gone || len(m.engine.timers.heap) > 0 {
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
	if e.plan.Ready.Notify { // somebody may still say so, after all timers
		return
	}
	if e.phase != PhaseRunning {
		m.violation("brood is stuck while %s", e.phase)
	}
	if e.reload != nil {
		m.violation("a reload hangs")
	}
	m.checkAnswers()
	if e.slots.open != e.wanted {
		m.violation("%d slots are open and %d wanted", e.slots.open, e.wanted)
	}
	leaders := 0
	for s := range e.slots.all() {
		if !s.finished && s.state != SlotReady || s.due != "" || s.underway != "" || s.successor != nil || s.leaving != nil {
			m.violation("slot %d hangs: it is %s, due for %q, in replacement for %q", s.number, s.state, s.due, s.underway)
		}
		if s.worker == nil {
			continue
		}
		if s.worker.leader {
			leaders++
		}
		if s.worker.beside && !slices.Contains(m.files, s.worker.ref) {
			m.violation("%v has no PID file", s.worker.ref)
		}
	}
	if s := e.slots.lowest(); s != nil && !s.finished && leaders != 1 && len(m.littered) == 0 {
		m.violation("%d workers lead", leaders)
	}
}
