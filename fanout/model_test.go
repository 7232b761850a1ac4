package fanout

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/reaper"
)

// A model is the real engine without its loop: the walk decides what the loop
// leaves to chance, which of everything that may happen now happens next. Nothing
// answers by itself, so a start, an exit or a sweep may take any time.
type model struct {
	*world
	left   chances
	asked  []Launch // starts without an answer
	sweeps int      // passes without an answer
	gone   bool     // brood's files are asked to go, and no answer has come yet

	now     time.Time // fake time is read once for each thing that happens
	stopped time.Time // when the stop or, without one, the sweep began
	hasty   bool      // a further stop signal has cut the grace
	told    map[Ref]time.Time
	killed  map[Ref]bool
	said    map[Ref]bool // it is ready
	begun   int          // reloads
	ended   int
	taken   map[[2]SlotState]int
	broken  []string
}

// chances are how often what nobody has to do may still happen.
type chances struct {
	crashes, ends  int // workers that end by themselves, with code 1 and 0
	failures       int // starts that fail
	stops, reloads int
	ups, downs     int
}

// choice is one thing that may happen next.
type choice struct {
	do string
	Ref
}

func (c choice) String() string {
	if c.Kind == "" {
		return c.do
	}
	return fmt.Sprintf("%s %s %d.%d", c.do, c.Kind, c.Slot, c.Incarnation)
}

func newModel(t *testing.T, plan Plan, left chances) *model {
	m := &model{
		world: newWorld(t), left: left, now: time.Now(),
		told: make(map[Ref]time.Time), killed: make(map[Ref]bool), said: make(map[Ref]bool),
		taken: make(map[[2]SlotState]int),
	}
	m.engine = New(plan, m, nil, m.observe)
	m.engine.random = func() float64 { return 0.5 } // no state
	m.engine.Begin()
	m.engine.progress()
	m.check()
	return m
}

func (m *model) violation(format string, args ...any) {
	m.broken = append(m.broken, fmt.Sprintf(format, args...))
}

func (m *model) done() bool { return m.engine.phase == PhaseDone }

// choices are what may happen now, in an order that only depends on the state.
func (m *model) choices() []choice {
	var all []choice
	add := func(do string, ref Ref) { all = append(all, choice{do, ref}) }
	for _, l := range m.asked {
		add("started", l.Ref)
		if l.Kind == KindWorker && (m.discard || m.left.failures > 0) {
			add("not started", l.Ref)
		}
	}
	for _, ref := range slices.SortedFunc(maps.Keys(m.alive), byRef) {
		_, told := m.told[ref]
		switch {
		case told || m.killed[ref]:
			add("obeys", ref)
		case ref.Kind != KindWorker:
			add("ends", ref)
		default:
			if m.left.crashes > 0 {
				add("crashes", ref)
			}
			if m.left.ends > 0 {
				add("ends", ref)
			}
		}
		if m.engine.plan.Ready.Notify && ref.Kind == KindWorker && !m.said[ref] {
			add("ready", ref)
		}
	}
	for _, one := range []struct {
		do  string
		may bool
	}{
		{"swept", m.sweeps > 0},
		{"cleaned up", m.gone},
		{"stop", m.left.stops > 0},
		{"reload", m.left.reloads > 0},
		{"up", m.left.ups > 0},
		{"down", m.left.downs > 0},
		{"time", len(m.engine.timers.heap) > 0},
	} {
		if one.may {
			add(one.do, Ref{})
		}
	}
	return all
}

func byRef(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Incarnation, b.Incarnation))
}

// happen lets one thing happen, and looks whether everything still holds.
func (m *model) happen(c choice) {
	defer func() {
		if v := recover(); v != nil {
			m.violation("the engine panics: %v", v)
		}
	}()
	if c.do == "time" {
		time.Sleep(time.Until(m.engine.timers.heap[0].at))
		m.now = time.Now()
		m.engine.timers.expire()
	} else {
		m.engine.handle(m.input(c))
	}
	m.engine.progress()
	m.check()
}

func (m *model) input(c choice) Input {
	switch c.do {
	case "started":
		m.answered(c.Ref)
		m.nextPID++
		m.alive[c.Ref] = m.nextPID
		return Started{c.Ref, m.nextPID, m.now}
	case "not started":
		m.answered(c.Ref)
		if !m.discard {
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
	case "ends":
		if c.Kind == KindWorker {
			m.left.ends--
		}
		return m.exited(c.Ref, reaper.Status{})
	case "ready":
		m.said[c.Ref] = true
		return Notified{Ref: c.Ref, Ready: true}
	case "swept":
		m.sweeps--
		return Swept{}
	case "cleaned up":
		m.gone = false
		return CleanedUp{}
	case "stop":
		m.left.stops--
		m.hasty = m.hasty || m.engine.stopping()
		return SignalArrived{syscall.SIGTERM}
	case "reload":
		m.left.reloads--
		return ReloadAsked{m.answer()}
	case "up":
		m.left.ups--
		return ScaleAsked{Scale: Scale{Relative: true, N: 1}}
	case "down":
		m.left.downs--
		return ScaleAsked{Scale: Scale{Relative: true, N: -1}}
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

// The System: it notes what is asked for.

func (m *model) Start(l Launch) {
	m.launches = append(m.launches, l)
	if l.Kind == KindFinish {
		for ref := range m.alive {
			if !m.killed[ref] {
				m.violation("the finish hook starts while %v runs, which was not killed", ref)
			}
		}
	}
	if l.Kind == KindWorker {
		m.checkWorkerStart(l)
	}
	m.asked = append(m.asked, l)
}

func (m *model) DiscardStarts() { m.discard = true }
func (m *model) Inspect([]Ref)  {} // changes nothing
func (m *model) Sweep(syscall.Signal) {
	m.sweeps++
}
func (m *model) Cleanup()             { m.cleaned, m.gone = m.cleaned+1, true }
func (m *model) Descendants() bool    { return len(m.alive) > 0 }
func (m *model) KillAll()             { m.violation("everybody is killed") }
func (m *model) GroupAlive(Ref) bool  { return false }
func (m *model) WritePIDFile(ref Ref) { m.files = append(m.files, ref) }
func (m *model) Registered(syscall.Signal) {
	m.violation("registered processes are asked for without a directory")
}

func (m *model) Signal(refs []Ref, sig syscall.Signal, _ bool) (n int) {
	for _, ref := range refs {
		if m.alive[ref] == 0 {
			if ref.Kind == KindWorker {
				m.violation("%v gets %v, and does not run", ref, sig)
			}
			continue
		}
		n++
		told, twice := m.told[ref]
		if sig != syscall.SIGKILL {
			if twice || m.killed[ref] {
				m.violation("%v is told to stop again", ref)
			}
			m.told[ref] = m.now
			continue
		}
		m.killed[ref] = true
		if ref.Kind == KindWorker && !m.mayBeKilled(told) {
			m.violation("%v is killed before its grace is over", ref)
		}
	}
	return n
}

// mayBeKilled reports whether a worker that was told to end then, or never, has
// had its time.
func (m *model) mayBeKilled(told time.Time) bool {
	stop := m.engine.plan.Stop
	return m.hasty || !told.IsZero() && m.now.Sub(told) >= stop.Grace ||
		!m.stopped.IsZero() && m.now.Sub(m.stopped) >= stop.Drain+stop.Grace
}

func (m *model) observe(_ time.Time, ev Event) {
	switch ev := ev.(type) {
	case SlotEntered:
		m.taken[[2]SlotState{ev.From, ev.To}]++
	case StopBegan:
		m.stopped = m.now
	case PhaseEntered:
		if ev.Phase == PhaseSweeping && m.stopped.IsZero() {
			m.stopped = m.now
		}
	case ReloadBegan:
		m.begun++
	case ReloadEnded:
		m.ended++
	}
	m.events = append(m.events, ev)
	m.checkDisruption(ev, m.engine.plan, m.violation)
	m.checkReload(ev, m.violation)
}

// key is everything that decides what can happen from here on; two models with
// the same key have the same future. Instants are relative to now. A timer is the
// code that it runs: whom it concerns follows from the instants of the others.
func (m *model) key() string {
	e := m.engine
	k := &keyWriter{now: m.now}
	k.add(e.phase, e.begun, e.wanted, e.ready, e.due, e.naturalEnd, m.discard, m.sweeps, m.gone, m.hasty, m.left)
	k.at(m.stopped)
	for s := range e.slots.all() {
		k.add("slot", s.number, s.state, s.initial, s.closing, s.wasReady, s.finished, s.due, s.reloadToo, s.underway,
			s.incarnations, s.attempt, s.lastCode, s.restartDue)
		for _, at := range s.failures {
			k.at(at)
		}
		if s.last != nil {
			k.at(s.last.at)
		}
		for _, w := range []*worker{s.worker, s.successor, s.leaving} {
			if w == nil {
				k.add(nil)
				continue
			}
			k.add(w.ref.Incarnation, w.pid != 0, w.leader, w.sent, w.killed, w.blame, w.replaced, w.beside, m.said[w.ref])
			k.at(w.began, w.readyAt, w.sentAt, w.endBy, w.readyBy)
		}
	}
	if e.reload != nil {
		k.add("reload", e.reload.total, e.reload.replaced, e.reload.again)
		k.at(e.reload.began)
	}
	x := e.stop
	k.add("stop", x.signal, x.requested, x.decided != nil, x.sweepSignal, x.passes, x.emptyPasses > 1, x.lastSweep, x.cleaned,
		e.finish.asked, e.finish.result != nil, len(x.exits) > 0)
	k.at(x.drain, x.grace, x.sweep, x.finish, x.signalled)
	for _, l := range m.asked {
		k.add(l.Kind, l.Slot, l.Incarnation)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(m.alive), byRef) {
		_, told := m.told[ref]
		k.add(ref.Kind, ref.Slot, ref.Incarnation, told, m.killed[ref])
	}
	due := slices.Clone(e.timers.heap)
	slices.SortFunc(due, func(a, b deadline) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
	for _, d := range due {
		k.at(d.at)
		k.add(int(reflect.ValueOf(d.run).Pointer()))
	}
	return string(k.text)
}

// forgotten is how long ago an instant is when it no longer matters.
const forgotten = 12 * time.Second

type keyWriter struct {
	text []byte
	now  time.Time
}

func (k *keyWriter) add(values ...any) {
	for _, v := range values {
		switch v := v.(type) {
		case int:
			k.text = strconv.AppendInt(k.text, int64(v), 10)
		case bool:
			k.text = strconv.AppendBool(k.text, v)
		default:
			k.text = fmt.Append(k.text, v)
		}
		k.text = append(k.text, ',')
	}
}

func (k *keyWriter) at(instants ...time.Time) {
	for _, at := range instants {
		if at.IsZero() {
			k.text = append(k.text, '-', ',')
			continue
		}
		k.text = strconv.AppendInt(k.text, int64(max(at.Sub(k.now), -forgotten)), 10)
		k.text = append(k.text, ',')
	}
}
