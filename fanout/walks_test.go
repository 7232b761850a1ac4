package fanout

import (
	"context"
	"maps"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brood-init/brood/internal/expand"
)

// small is the plan that the walks vary: n workers, and times that differ. They
// are short where brood looks again and again meanwhile.
func small(n, surge int) Plan {
	p := basePlan(n)
	p.PIDFiles = nil // nobody registers
	p.Disruption = Disruption{MaxUnavailable: 1, MaxSurge: surge}
	p.Backoff = Backoff{100 * time.Millisecond, 2 * time.Second}
	p.MaxRestarts = CrashBudget{10, 10 * time.Second}
	p.Finish = Hook{Args: []string{"finish"}, Timeout: 500 * time.Millisecond}
	p.Stop = NewSchedule(time.Second, 0, p.Finish.Timeout)
	return p
}

func draining(p Plan) Plan {
	p.Stop = NewSchedule(time.Second, 100*time.Millisecond, p.Finish.Timeout)
	return p
}

func saying(p Plan) Plan {
	p.Ready, p.ReadyTimeout = Check{Notify: true}, 3*time.Second
	return p
}

// probed has workers asked from outside, and probedByCommand by a process.
func probed(p Plan) Plan {
	p.Ready, p.ReadyTimeout = Check{Prober: nobody{}}, time.Second
	return p
}

func probedByCommand(p Plan) Plan {
	p.Ready, p.ReadyTimeout = Check{Command: []expand.Template{{}}}, time.Second
	return p
}

// nobody is a Prober that is never called: the model answers.
type nobody struct{}

func (nobody) Check(context.Context, expand.Values) error { panic("nobody is asked") }

func probedAlive(p Plan) Plan {
	p.Live = Check{Prober: nobody{}}
	return p
}

func keeping(p Plan) Plan {
	p.Leftovers = LeftoversKeep
	return p
}

func fragile(p Plan) Plan {
	p.MaxRestarts.Failures = 0
	return p
}

func prepared(p Plan) Plan {
	p.Prepare = Hook{Args: []string{"prepare"}, Timeout: 2 * time.Second}
	return p
}

func telling(p Plan) Plan {
	p.OnWorkerExit = Hook{Args: []string{"told"}}
	return p
}

func listed(p Plan) Plan {
	p.PIDFiles = basePlan(1).PIDFiles
	return p
}

func walks() []walk {
	return []walk{
		{"one stops", func() Plan { return small(1, 0) }, chances{stops: 1}, false, 0, chances{crashes: 1, stops: 2}},
		{"one crashes", func() Plan { return small(1, 0) }, chances{crashes: 1, failures: 1, stops: 1}, false, 7, chances{crashes: 1, failures: 1, stops: 1}},
		{"one drains", func() Plan { return draining(small(1, 0)) }, chances{crashes: 1, stops: 3}, false, 5, chances{stops: 3}},
		{"one reloads", func() Plan { return small(1, 1) }, chances{reloads: 2}, false, 0, chances{reloads: 2, stops: 1}},
		{"one is prepared", func() Plan { return prepared(small(1, 0)) }, chances{hooks: 1, failures: 1, stops: 2}, false, 5, chances{hooks: 1, stops: 1}},
		{"one is told of", func() Plan { return telling(small(1, 0)) }, chances{hooks: 1, failures: 1, crashes: 2, stops: 1}, false, 6, chances{crashes: 1, stops: 1}},
		{"one is probed", func() Plan { return probed(small(1, 0)) }, chances{noes: 2, stops: 1}, false, 7, chances{}},
		{"one is probed by a command", func() Plan { return probedByCommand(small(1, 0)) }, chances{hooks: 1, crashes: 1, stops: 1}, false, 7, chances{}},
		{"one hangs", func() Plan { return probedAlive(small(1, 0)) }, chances{noes: 3}, false, 11, chances{noes: 3, reloads: 1}},
		{"two hang", func() Plan { return probedAlive(small(2, 0)) }, chances{noes: 3}, false, 9, chances{noes: 3}},
		{"one litters", func() Plan { return small(1, 0) }, chances{litters: 1, reloads: 1}, false, 0, chances{litters: 2, reloads: 1}},
		{"one litters and goes", func() Plan { return small(2, 0) }, chances{litters: 1, downs: 1, ups: 1}, true, 6, chances{litters: 1, downs: 1, ups: 1}},
		{"one litters, which is kept", func() Plan { return keeping(small(1, 0)) }, chances{litters: 1, crashes: 1, reloads: 1}, false, 7, chances{litters: 2, reloads: 1}},
		{"others register", func() Plan { return listed(small(1, 0)) }, chances{joins: 1, ends: 1, stops: 1}, false, 6, chances{joins: 1, ends: 1, stops: 1}},
		{"two stop", func() Plan { return small(2, 0) }, chances{crashes: 1, stops: 2}, false, 5, chances{stops: 1}},
		{"two reload", func() Plan { return small(2, 0) }, chances{reloads: 1}, false, 0, chances{crashes: 1, reloads: 2}},
		{"two surge", func() Plan { return small(2, 1) }, chances{crashes: 1, reloads: 1}, true, 0, chances{crashes: 1, failures: 1, reloads: 2}},
		{"two surge and stop", func() Plan { return small(2, 1) }, chances{crashes: 1, reloads: 1, stops: 1}, true, 5, chances{reloads: 1, stops: 1}},
		{"two surge by word", func() Plan { return saying(small(2, 1)) }, chances{crashes: 1, reloads: 1}, false, 5, chances{}},
		{"two scale and end", func() Plan { return small(2, 0) }, chances{crashes: 1, ends: 1, downs: 1, ups: 1}, false, 5, chances{crashes: 1, ends: 1, downs: 1, ups: 1}},
		{"two scale in a reload", func() Plan { return small(2, 1) }, chances{downs: 1, ups: 1, reloads: 1}, true, 6, chances{downs: 1, ups: 1, reloads: 1}},
		{"two fail and scale", func() Plan { return fragile(small(2, 0)) }, chances{crashes: 1, downs: 1}, false, 6, chances{crashes: 2, downs: 1}},
		{"one is not ready and goes", func() Plan { return saying(fragile(small(2, 0))) }, chances{downs: 1, failures: 1}, false, 5, chances{downs: 1, failures: 1}},
	}
}

// Whatever happens in whatever order to a few workers, everything that brood
// promises holds; and slots change their states in all ways that the diagram of
// this package shows, and in no other.
//
// What no walk comes to is told by other tests: Run and its emergency, forwarded
// signals, the terminal, a number that somebody has taken, age and memory, the
// watchdog and more time by sd_notify, limits, --fail-fast and --restart.
func TestEveryOrderOfEventsKeepsThePromises(t *testing.T) {
	taken, all := make(map[[2]SlotState]int), 0
	for _, x := range walks() {
		t.Run(x.name, func(t *testing.T) {
			if os.Getenv("BROOD_TEST_FULL") != "" {
				x = x.longer()
			}
			began := time.Now()
			var seen found
			synctest.Test(t, func(t *testing.T) { seen = x.walk(t) })
			maps.Copy(taken, seen.taken)
			t.Logf("%d states, %d steps, %d ends, depth %d, complete: %t, in %s",
				seen.states, seen.steps, seen.ends, seen.depth, seen.complete, time.Since(began).Round(time.Millisecond))
			all++
		})
	}
	if all < len(walks()) {
		return // -run has chosen some, or one has failed
	}
	for from, next := range transitions() {
		for _, to := range next {
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
		m := newModel(t, small(1, 0), chances{stops: 1}, false)
		m.happen(choice{do: "stop"})
		for range 100 {
			if m.engine.phase == PhaseLeaving {
				break
			}
			m.happen(choice{do: "time"})
		}
		m.happen(choice{do: "started", Ref: finishRef})
		if !m.killed[finishRef] {
			t.Errorf("brood is %s, and the hook runs", m.engine.phase)
		}
	})
}

// So may the start of a prepare hook, for longer than the grace.
func TestAPrepareHookThatBeginsTooLateIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, prepared(small(1, 0)), chances{stops: 1}, false)
		m.happen(choice{do: "stop"})
		for range 100 {
			if m.engine.phase == PhaseSweeping {
				break
			}
			m.happen(choice{do: "time"})
		}
		m.happen(choice{do: "started", Ref: prepareRef})
		if !m.killed[prepareRef] {
			t.Errorf("brood is %s, and the hook runs", m.engine.phase)
		}
	})
}
