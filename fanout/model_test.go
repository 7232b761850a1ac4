package fanout

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A model is the real engine without its loop: the walk decides what the loop
// leaves to chance, which of everything that may happen now happens next. Nothing
// answers by itself, so a start, an exit or a sweep may take any time.
type model struct {
	*world
	left    chances
	asked   []Launch         // starts without an answer
	probing []Ref            // workers that are asked from outside, without an answer
	looks   []syscall.Signal // at registered processes, without an answer
	sweeps  int              // passes without an answer
	gone    bool             // brood's files are asked to go, and no answer has come yet
	joined  map[int]*joined  // registered processes that are alive, by PID

	now      time.Time // fake time is read once for each thing that happens
	stopped  time.Time // when the stop or, without one, the sweep began
	pressed  time.Time // when the last stop signal came
	hasty    bool      // a further stop signal has cut the grace
	told     map[Ref]time.Time
	grace    map[Ref]time.Duration // where it is not the plan's
	killed   map[Ref]bool
	said     map[Ref]bool      // it is ready
	waits    map[int]time.Time // slots, and until when nothing is to start there
	littered map[Ref]time.Time // when a worker has left something behind
	dying    map[Ref]bool      // what it has left was killed, and is not gone yet
	why      map[int]Reason    // by slot: how its last worker has ended
	begun    int               // reloads
	ended    int
	failed   bool      // a replacement of the reload under way has failed
	bad      bool      // somebody has failed
	latest   time.Time // when brood has left in any case
	taken    map[[2]SlotState]int
	broken   []string
	replayed bool // it is known that everything holds
}

// joined is a process that has registered itself.
type joined struct{ known, told, killed bool }

// chances are how often what nobody has to do may still happen.
type chances struct {
	crashes, ends  int // workers that end by themselves, with code 1 and 0
	failures       int // starts that fail
	stops, reloads int
	ups, downs     int
	hooks          int // hooks that end with code 1
	noes           int // probes that say no
	joins          int // processes that register themselves
	litters        int // workers that crash and leave something behind
}

// choice is one thing that may happen next.
type choice struct {
	do string
	Ref
	timers int // how many "time" has run, once that is known
}

func (c choice) String() string {
	if c.Kind == "" && c.Slot == 0 {
		return c.do
	}
	return fmt.Sprintf("%s %s %d.%d", c.do, c.Kind, c.Slot, c.Incarnation)
}

func newModel(t *testing.T, plan Plan, left chances, replayed bool) *model {
	m := &model{
		world: &world{
			t: t, nextPID: 100, alive: make(map[Ref]int), leftovers: make(map[Ref]bool), mustGet: make(map[Ref]int), mayGet: make(map[Ref]int),
		},
		left: left, now: time.Now(), replayed: replayed, joined: make(map[int]*joined), waits: make(map[int]time.Time),
		told: make(map[Ref]time.Time), grace: make(map[Ref]time.Duration), killed: make(map[Ref]bool), said: make(map[Ref]bool),
		taken: make(map[[2]SlotState]int), why: make(map[int]Reason), littered: make(map[Ref]time.Time), dying: make(map[Ref]bool),
	}
	m.engine = New(plan, m, nil, m.observe)
	m.engine.random = func() float64 { return 0.5 } // no state
	m.engine.Begin()
	m.engine.progress()
	m.check()
	return m
}

// settle lets all workers start and be ready.
func (m *model) settle() {
	for len(m.asked) > 0 {
		m.happen(choice{do: "started", Ref: m.asked[0].Ref})
	}
	for !m.quiet() {
		m.happen(choice{do: "time"})
	}
}

func (m *model) violation(format string, args ...any) {
	m.broken = append(m.broken, fmt.Sprintf(format, args...))
}

func (m *model) done() bool { return m.engine.phase == PhaseDone }

// choices are what may happen now, in an order that only depends on the state.
func (m *model) choices() []choice {
	var all []choice
	add := func(may bool, do string, ref Ref) {
		if may {
			all = append(all, choice{do: do, Ref: ref})
		}
	}
	for _, l := range m.asked {
		add(true, "started", l.Ref)
		add(l.Kind == KindWorker && m.discard || m.left.failures > 0, "not started", l.Ref)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(m.alive), byRef) {
		_, told := m.told[ref]
		ordered := told || m.killed[ref]
		worker := ref.Kind == KindWorker
		add(ordered, "obeys", ref)
		add(worker && !ordered && m.left.crashes > 0, "crashes", ref)
		add(worker && !ordered && m.left.ends > 0, "ends", ref)
		add(worker && m.left.litters > 0 && !m.engine.stopping(), "litters", ref)
		add(!worker && !m.killed[ref], "ends", ref)
		add(!worker && !m.killed[ref] && m.left.hooks > 0, "fails", ref)
		add(m.engine.plan.Ready.Notify && worker && !m.said[ref], "ready", ref)
	}
	for _, ref := range m.probing {
		add(true, "yes", ref)
		add(m.left.noes > 0, "no", ref)
	}
	for _, pid := range slices.Sorted(maps.Keys(m.joined)) {
		add(true, "leaves", Ref{Slot: pid})
	}
	for _, ref := range slices.SortedFunc(maps.Keys(m.littered), byRef) {
		add(m.GroupAlive(ref), "is cleared", ref)
	}
	add(len(m.looks) > 0, "seen", Ref{})
	add(m.sweeps > 0, "swept", Ref{})
	add(m.gone, "cleaned up", Ref{})
	add(m.left.joins > 0, "joins", Ref{})
	add(m.left.stops > 0, "stop", Ref{})
	add(m.left.stops > 0 && m.engine.stopping(), "stop later", Ref{})
	add(m.left.reloads > 0, "reload", Ref{})
	add(m.left.ups > 0, "up", Ref{})
	add(m.left.downs > 0, "down", Ref{})
	add(len(m.engine.timers.heap) > 0, "time", Ref{})
	return all
}

func byRef(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Incarnation, b.Incarnation))
}

// happen lets one thing happen, and looks whether everything still holds. What it
// returns is the same thing, to be told again.
func (m *model) happen(c choice) choice {
	defer func() {
		if v := recover(); v != nil {
			m.violation("the engine panics: %v", v)
		}
	}()
	if c.do == "time" {
		c.timers = m.pass(c.timers)
		return c
	}
	if c.do == "stop later" {
		m.sleep(m.now.Add(sameRequest))
	}
	in := m.input(c)
	before := m.engine.phase
	m.engine.handle(in)
	m.engine.progress()
	if c.do == "stop later" {
		m.checkHaste(before)
	}
	m.check()
	return c
}

// mostIdle bounds the timers that change nothing: some come again and again.
const mostIdle = 40

// pass lets time pass until that makes a difference, or as many times as it did
// before. Between two timers nothing changes, and one that finds nothing to do is
// none.
func (m *model) pass(known int) (n int) {
	most, before := known, ""
	if known == 0 {
		most, before = mostIdle, m.key(false)
	}
	for len(m.engine.timers.heap) > 0 && !m.done() && n < most {
		m.sleep(m.engine.timers.heap[0].at)
		m.check()
		n++
		if known == 0 && m.key(false) != before {
			break
		}
	}
	return n
}

// sleep lets time pass, and what is due on the way.
func (m *model) sleep(until time.Time) {
	for e := m.engine; ; {
		next := until
		due := len(e.timers.heap) > 0 && !e.timers.heap[0].at.After(until)
		if due {
			next = e.timers.heap[0].at
		}
		time.Sleep(time.Until(next))
		m.now = time.Now()
		if !due {
			return
		}
		e.timers.expire()
		e.progress()
	}
}
