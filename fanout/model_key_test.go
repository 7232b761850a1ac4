package fanout

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// key is everything that decides what can happen from here on; two models with
// the same key have the same future. Instants are relative to now, and those that
// no longer matter are all the same. A timer is the code that it runs: whom it
// concerns follows from the instants of the others. Without instants the key says
// whether something has changed.
func (m *model) key(instants bool) string {
	e := m.engine
	k := &keyWriter{now: m.now, timeless: !instants}
	k.add(e.phase, e.begun, e.wanted, e.ready, e.due, e.naturalEnd, e.waiting, m.discard, m.sweeps, m.gone, m.hasty, m.failed, m.left)
	k.since(e.plan.Stop.Budget, m.stopped)
	k.since(sameRequest, e.stop.signalled)
	for s := range e.slots.all() {
		m.slotKey(k, s)
	}
	if e.reload != nil {
		k.add("reload", e.reload.total, e.reload.replaced, e.reload.again)
	}
	m.stopKey(k)
	m.hooksKey(k)
	for _, l := range m.asked {
		k.add("asked", l.Kind, l.Slot, l.Incarnation)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(m.alive), byRef) {
		told, ok := m.told[ref]
		k.add(ref.Kind, ref.Slot, ref.Incarnation, ok, m.killed[ref])
		k.since(max(e.plan.Stop.Grace, abortGrace), told)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(m.littered), byRef) {
		k.add("left", ref.Slot, ref.Incarnation, m.leftovers[ref], m.dying[ref])
		k.since(2*leftoverGrace, m.littered[ref])
	}
	if instants {
		m.timersKey(k)
	}
	return string(k.text)
}

func (m *model) slotKey(k *keyWriter, s *slot) {
	e := m.engine
	k.add("slot", s.number, s.state, s.initial, s.closing, s.wasReady, s.finished, s.due, s.reloadToo, s.underway,
		s.incarnations, s.attempt, s.lastCode, s.restartDue, m.why[s.number], len(s.leftovers))
	// Only a budget that can be used up remembers when.
	if len(s.failures)+m.left.crashes+m.left.failures+m.left.ends+m.left.noes > e.plan.MaxRestarts.Failures {
		k.since(e.plan.MaxRestarts.Window, s.failures...)
	}
	if !e.stopping() {
		k.until(m.waits[s.number])
	}
	for _, w := range []*worker{s.worker, s.successor, s.leaving} {
		if w == nil {
			k.add(nil)
			continue
		}
		k.add(w.ref.Incarnation, w.pid != 0, w.leader, w.sent, w.killed, w.blame, w.replaced, w.beside, m.said[w.ref],
			w.check.asked, w.check.failures, int(w.check.delay), slices.Contains(m.files, w.ref), slices.Contains(m.probing, w.ref),
			e.reload != nil && w.began.Before(e.reload.began), w.readyAt.IsZero())
		if w.readyAt.IsZero() {
			k.since(max(e.plan.ReadyAfter, e.plan.ReadyTimeout), w.began)
		}
	}
}

func (m *model) stopKey(k *keyWriter) {
	e := m.engine
	x := e.stop
	bad := slices.ContainsFunc(x.exits, func(one countedExit) bool { return one.reason != ReasonStopped && one.reason != ReasonCompleted })
	k.add("stop", x.signal, x.requested, x.decided != nil, x.sweepSignal, x.passes, x.emptyPasses > 1, x.lastSweep, x.cleaned,
		x.registeredKilled, bad)
	k.until(x.drain, x.grace, x.sweep, x.finish)
	k.add("registered", e.looks, len(e.registered), m.looks)
	for _, pid := range slices.Sorted(maps.Keys(m.joined)) {
		k.add(pid, *m.joined[pid])
	}
}

func (m *model) hooksKey(k *keyWriter) {
	e := m.engine
	for _, h := range []*hookRun{&e.prepare, &e.finish} {
		k.add("hook", h.asked, h.pid != 0, h.result != nil, h.result != nil && h.result.code == 0)
	}
	for _, n := range e.exitHooks.slots {
		k.add("waiting", n)
		for _, x := range e.exitHooks.waiting[n] {
			k.add(x.Incarnation)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(e.exitHooks.active)) {
		run := e.exitHooks.active[n]
		k.add("active", n, run.ref.Incarnation, run.timedOut, run.asked)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(e.probes), byRef) {
		k.add("probe", ref.Slot, ref.Incarnation, e.lastProbe-e.probes[ref])
	}
}

func (m *model) timersKey(k *keyWriter) {
	due := slices.Clone(m.engine.timers.heap)
	slices.SortFunc(due, func(a, b deadline) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
	for _, d := range due {
		k.until(d.at)
		k.add(int(reflect.ValueOf(d.run).Pointer()))
	}
}

type keyWriter struct {
	text     []byte
	now      time.Time
	timeless bool
}

func (k *keyWriter) add(values ...any) {
	for _, v := range values {
		switch v := v.(type) {
		case int:
			k.text = strconv.AppendInt(k.text, int64(v), 10)
		case bool:
			k.text = strconv.AppendBool(k.text, v)
		case string:
			k.text = append(k.text, v...)
		case SlotState:
			k.text = append(k.text, v...)
		default:
			k.text = fmt.Append(k.text, v)
		}
		k.text = append(k.text, ',')
	}
}

// since writes instants that count no more once so much time has passed.
func (k *keyWriter) since(most time.Duration, instants ...time.Time) {
	for _, at := range instants {
		k.instant(at, min(k.now.Sub(at), most))
	}
}

// until writes instants to come; those that are over are over.
func (k *keyWriter) until(instants ...time.Time) {
	for _, at := range instants {
		k.instant(at, max(at.Sub(k.now), 0))
	}
}

func (k *keyWriter) instant(at time.Time, d time.Duration) {
	switch {
	case k.timeless:
	case at.IsZero():
		k.text = append(k.text, '-', ',')
	default:
		k.text = append(strconv.AppendInt(k.text, int64(d), 10), ',')
	}
}
