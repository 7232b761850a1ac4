package fanout

import (
	"slices"
	"syscall"
	"time"
)

// This file is what has to hold in a model once brood has ended.

func (m *model) checkDone() {
	for ref := range m.alive {
		if !m.killed[ref] {
			m.violation("%v has outlived brood, and was not killed", ref)
		}
	}
	for pid, one := range m.joined {
		if one.known && !one.killed && !slices.Contains(m.looks, syscall.SIGKILL) {
			m.violation("the registered process %d has outlived brood, and was not killed", pid)
		}
	}
	for _, l := range m.asked {
		if l.Kind == KindWorker && !m.discard {
			m.violation("the start of %v is forgotten", l.Ref)
		}
	}
	m.checkStory()
	e := m.engine
	if e.plan.Finish.Defined() && m.started(KindFinish) < 1 {
		m.violation("the finish hook was not started")
	}
	if m.cleaned != 1 {
		m.violation("brood's files have gone %d times", m.cleaned)
	}
	if m.begun != m.ended {
		m.violation("%d reloads have begun and %d ended", m.begun, m.ended)
	}
	if m.now.Before(m.latest) && (m.gone || e.stop.lastSweep) {
		m.violation("brood does not wait for its files to go, or for the last sweep")
	}
	m.checkAnswers()
	m.checkOutcome()
}

// checkAnswers: whoever has asked for a reload has been told how it was.
func (m *model) checkAnswers() {
	for i, answer := range m.answers {
		if len(answer) != 1 {
			m.violation("reload %d has %d answers", i+1, len(answer))
		}
	}
}

// checkStory: what started has ended, once, and its hook was run or dropped.
func (m *model) checkStory() {
	started, exited, hooks := map[Ref]int{}, map[Ref]int{}, 0
	for _, ev := range m.events {
		switch ev := ev.(type) {
		case WorkerStarted:
			started[Ref{KindWorker, ev.Slot, ev.Incarnation}]++
		case WorkerExited:
			exited[Ref{KindWorker, ev.Slot, ev.Incarnation}]++
			hooks++
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
	// Those that wait for another one are dropped together.
	if run := m.started(KindExitHook); m.engine.plan.OnWorkerExit.Defined() && (run > hooks || run < hooks && len(got[HookDropped](m.world)) == 0) {
		m.violation("%d workers have ended, and %d hooks run", hooks, run)
	}
}

// somebodyFailed reports whether one who counts has failed by the time that brood
// decides about it.
func (m *model) somebodyFailed() bool {
	e := m.engine
	if e.stop.registeredKilled || e.finish.result != nil && e.finish.result.code != 0 {
		return true
	}
	for ref := range m.alive {
		if ref.Kind == KindWorker {
			return true
		}
	}
	last := map[int]Reason{}
	for _, ev := range m.events {
		switch ev := ev.(type) {
		case StopBegan: // what was before does not count
			clear(last)
		case SlotEntered:
			if ev.To == "" { // scaled away
				delete(last, ev.Slot)
			}
		case WorkerExited:
			if before := last[ev.Slot]; m.requested() && before != "" && before != ReasonStopped {
				continue
			}
			last[ev.Slot] = ev.Reason
			if ev.Signal == syscall.SIGKILL { // whatever it is called
				last[ev.Slot] = ReasonKilled
			}
		}
	}
	for _, why := range last {
		if why != ReasonStopped && why != ReasonCompleted {
			return true
		}
	}
	return false
}

func (m *model) requested() bool { return m.engine.stop.requested }

// checkOutcome: the code is 0 if and only if nobody has failed who counts.
func (m *model) checkOutcome() {
	o, d := m.engine.outcome, m.engine.stop.decided
	switch {
	case d != nil && o != *d:
		m.violation("the outcome is %+v, decided was %+v", o, *d)
	case d == nil && (o.Code != 0) != m.bad:
		m.violation("the outcome is %+v, and that somebody has failed is %t", o, m.bad)
	case d == nil && !m.bad && m.requested() != (o.Reason == ReasonRequested):
		m.violation("the outcome is %+v, and that it was asked for is %t", o, m.requested())
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
