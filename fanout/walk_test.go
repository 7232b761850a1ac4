package fanout

import (
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// walk is a search through everything that may happen to a plan, breadth first,
// so that what it finds is as short as can be. The engine cannot be copied: each
// step plays its whole story again, in fake time.
type walk struct {
	name  string
	plan  func() Plan
	left  chances
	depth int
	deep  int // with BROOD_TEST_FULL
}

// node is a state, and how it was reached first.
type node struct {
	from  *node
	by    choice
	depth int
}

func (n *node) story() []choice {
	var all []choice
	for ; n.from != nil; n = n.from {
		all = append(all, n.by)
	}
	slices.Reverse(all)
	return all
}

// found is what a walk has seen.
type found struct {
	states, steps, ends, depth int
	taken                      map[[2]SlotState]int
	complete                   bool
}

func (x walk) play(t *testing.T, story []choice) *model {
	m := newModel(t, x.plan(), x.left)
	for _, c := range story {
		m.happen(c)
	}
	return m
}

func (x walk) walk(t *testing.T, depth int) found {
	seen := found{taken: make(map[[2]SlotState]int), complete: true}
	first := x.play(t, nil)
	known := map[string]bool{first.key(): true}
	queue := []*node{{}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		story := at.story()
		m := x.play(t, story)
		if at.depth == depth {
			seen.complete = false
			x.leave(t, story)
			continue
		}
		for i, c := range m.choices() {
			if i > 0 {
				m = x.play(t, story)
			}
			m.happen(c)
			seen.steps++
			next := &node{at, c, at.depth + 1}
			x.judge(t, m, next.story())
			maps.Copy(seen.taken, m.taken)
			if m.done() {
				seen.ends++
				continue
			}
			if key := m.key(); !known[key] {
				known[key] = true
				seen.depth = next.depth
				queue = append(queue, next)
			}
		}
	}
	seen.states = len(known)
	return seen
}

// leave sees to it that brood ends where the walk does.
func (x walk) leave(t *testing.T, story []choice) {
	for _, quick := range []bool{true, false} {
		m := x.play(t, story)
		m.leave(quick)
		x.judge(t, m, story)
	}
}

func (x walk) judge(t *testing.T, m *model, story []choice) {
	if len(m.broken) > 0 {
		t.Fatalf("%s\nafter %v", m.broken, story)
	}
}

// small is the plan that the walks vary: n workers, and times that differ.
func small(n, surge int) Plan {
	p := withFinish(basePlan(n))
	p.PIDFiles = nil // nobody registers
	p.Disruption = Disruption{MaxUnavailable: 1, MaxSurge: surge}
	p.Backoff = Backoff{100 * time.Millisecond, 2 * time.Second}
	p.MaxRestarts = CrashBudget{10, 10 * time.Second}
	return p
}

func draining(p Plan) Plan {
	p.Stop = NewSchedule(9*time.Second, time.Second, 2*time.Second)
	return p
}

func saying(p Plan) Plan {
	p.Ready, p.ReadyTimeout = Check{Notify: true}, 3*time.Second
	return p
}

func fragile(p Plan) Plan {
	p.MaxRestarts.Failures = 0
	return p
}

func walks() []walk {
	return []walk{
		{"one stops", func() Plan { return small(1, 0) }, chances{crashes: 1, failures: 1, stops: 2}, 8, 12},
		{"one drains", func() Plan { return draining(small(1, 0)) }, chances{crashes: 1, stops: 3}, 7, 10},
		{"one reloads", func() Plan { return small(1, 1) }, chances{crashes: 1, reloads: 2, stops: 1}, 7, 12},
		{"two stop", func() Plan { return small(2, 0) }, chances{crashes: 1, stops: 2}, 6, 9},
		{"two reload", func() Plan { return small(2, 0) }, chances{crashes: 1, reloads: 1, stops: 1}, 6, 9},
		{"two surge", func() Plan { return small(2, 1) }, chances{crashes: 1, reloads: 1, stops: 1}, 6, 9},
		{"two surge by word", func() Plan { return saying(small(2, 1)) }, chances{crashes: 1, reloads: 1}, 6, 8},
		{"two scale and fail", func() Plan { return fragile(small(2, 0)) }, chances{crashes: 1, ends: 1, downs: 1}, 6, 9},
		{"one waits and goes", func() Plan { return small(2, 0) }, chances{crashes: 1, downs: 1, ups: 1}, 5, 9},
		{"one is not ready and goes", func() Plan { return saying(fragile(small(2, 0))) }, chances{downs: 1, failures: 1}, 6, 10},
		{"three surge", func() Plan { return draining(small(3, 1)) }, chances{crashes: 1, reloads: 1, stops: 2}, 5, 8},
	}
}

// Whatever happens in whatever order to a few workers, everything that brood
// promises holds; and slots change their states in all ways that the diagram of
// this package shows, and in no other.
func TestEveryOrderOfEventsKeepsThePromises(t *testing.T) {
	taken := make(map[[2]SlotState]int)
	for _, x := range walks() {
		t.Run(x.name, func(t *testing.T) {
			depth := x.depth
			if os.Getenv("BROOD_TEST_FULL") != "" {
				depth = x.deep
			}
			began := time.Now()
			var seen found
			synctest.Test(t, func(t *testing.T) { seen = x.walk(t, depth) })
			maps.Copy(taken, seen.taken)
			t.Logf("%d states, %d steps, %d ends, depth %d, complete: %t, in %s",
				seen.states, seen.steps, seen.ends, seen.depth, seen.complete, time.Since(began).Round(time.Millisecond))
		})
	}
	for from, all := range transitions() {
		for _, to := range all {
			if taken[[2]SlotState{from, to}] == 0 {
				t.Errorf("no slot went from %q to %q: no walk comes there, or the table is wrong", from, to)
			}
		}
	}
}

// The start of a finish hook may hang for longer than the hook has. It must not
// begin as brood leaves, and then outlive it.
func TestAFinishHookThatBeginsTooLateIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, small(1, 0), chances{stops: 1})
		m.happen(choice{do: "stop"})
		for range 100 {
			if m.engine.phase == PhaseLeaving {
				break
			}
			m.happen(choice{do: "time"})
		}
		m.happen(choice{"started", finishRef})
		if !m.killed[finishRef] {
			t.Errorf("brood is %s, and the hook runs", m.engine.phase)
		}
	})
}
