package fanout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brood-init/brood/reaper"
)

func TestTheBudgetDecidesHowASlotIsReplaced(t *testing.T) {
	one, surge, both := Disruption{MaxUnavailable: 1}, Disruption{MaxSurge: 1}, Disruption{1, 1}
	for name, test := range map[string]struct {
		Disruption
		moment
		ready, leads bool
		cause        ReplaceCause
		want         step
	}{
		"a ready worker":                               {one, moment{wanted: 4, ready: 4}, true, false, CauseReload, stepInPlace},
		"while another is replaced":                    {one, moment{wanted: 4, ready: 3, underway: 1}, true, false, CauseReload, stepWait},
		"while another is down by itself":              {one, moment{wanted: 4, ready: 3}, true, false, CauseReload, stepWait},
		"one that is not ready":                        {one, moment{wanted: 4, ready: 0}, false, false, CauseReload, stepFree},
		"one of two that are not ready":                {one, moment{wanted: 4, ready: 0, underway: 1}, false, false, CauseReload, stepWait},
		"two may be down":                              {Disruption{MaxUnavailable: 2}, moment{wanted: 4, ready: 3, underway: 1}, true, false, CauseReload, stepInPlace},
		"the only worker":                              {one, moment{wanted: 1, ready: 1}, true, true, CauseReload, stepInPlace},
		"beside its successor":                         {surge, moment{wanted: 4, ready: 4}, true, false, CauseReload, stepSurge},
		"beside its successor, one after another":      {surge, moment{wanted: 4, ready: 4, underway: 1, surging: 1}, true, false, CauseReload, stepWait},
		"a surge although one may be down":             {both, moment{wanted: 4, ready: 4}, true, false, CauseAge, stepSurge},
		"a surge at a time":                            {Disruption{3, 1}, moment{wanted: 4, ready: 4, underway: 1, surging: 1}, true, false, CauseAge, stepWait},
		"the leader never surges":                      {surge, moment{wanted: 4, ready: 4}, true, true, CauseReload, stepInPlace},
		"the leader waits for the others":              {surge, moment{wanted: 4, ready: 3}, true, true, CauseReload, stepWait},
		"a stuck one never surges":                     {surge, moment{wanted: 4, ready: 4}, true, false, CauseStuck, stepInPlace},
		"the second stuck one waits":                   {one, moment{wanted: 4, ready: 3}, true, false, CauseStuck, stepWait},
		"more workers than wanted leave room":          {one, moment{wanted: 2, ready: 4}, true, false, CauseReload, stepInPlace},
		"nobody may be down, and nobody may be beside": {Disruption{}, moment{wanted: 2, ready: 2}, true, false, CauseReload, stepWait},
	} {
		if got := test.next(test.moment, test.ready, test.leads, test.cause); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// story is what was done to slots, in order.
func story(w *world) string {
	var all []string
	for _, ev := range w.events {
		switch ev := ev.(type) {
		case WorkerStarted:
			all = append(all, fmt.Sprintf("+%d.%d", ev.Slot, ev.Incarnation))
		case WorkerReady:
			all = append(all, fmt.Sprintf("!%d.%d", ev.Slot, ev.Incarnation))
		case WorkerExited:
			all = append(all, fmt.Sprintf("-%d.%d", ev.Slot, ev.Incarnation))
		}
	}
	return strings.Join(all, " ")
}

func reloading(p Plan) Plan {
	p.Signals[syscall.SIGHUP] = Action{Kind: ActionReload}
	return p
}

func TestAReloadReplacesSlotAfterSlotAndTheLeaderLast(t *testing.T) {
	w, o, _ := play(t, reloading(basePlan(3)), nil, func(w *world) {
		w.after(2 * time.Second)
		w.events = nil
		w.send(syscall.SIGHUP)
		w.after(10 * time.Second)
		if got, want := story(w), "-2.1 +2.2 !2.2 -3.1 +3.2 !3.2 -1.1 +1.2 !1.2"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		w.send(syscall.SIGTERM)
	})
	ends := got[ReloadEnded](w)
	if len(ends) != 1 || ends[0].Err != nil || ends[0].Replaced != 3 {
		t.Errorf("the reload ended so: %+v", ends)
	}
	if o.Code != 0 {
		t.Errorf("code %d", o.Code)
	}
}

func TestASurgeStartsTheSuccessorBeforeItsPredecessorStops(t *testing.T) {
	p := reloading(basePlan(3))
	p.Disruption = Disruption{MaxSurge: 1}
	play(t, p, nil, func(w *world) {
		w.after(2 * time.Second)
		w.events = nil
		w.send(syscall.SIGHUP)
		w.after(10 * time.Second)
		// The leader leads alone, so it goes before its successor comes.
		if got, want := story(w), "+2.2 !2.2 -2.1 +3.2 !3.2 -3.1 -1.1 +1.2 !1.2"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for slot, state := range w.states() {
			if slot != 1 && state != "" && state != SlotReady {
				t.Errorf("slot %d is %s", slot, state)
			}
		}
		w.send(syscall.SIGTERM)
	})
}

// breaks makes every start from now on end at once.
func (w *world) breaks() {
	w.onStart = func(l Launch) Input {
		if l.Kind != KindWorker {
			return nil
		}
		w.begin(l.Ref)
		w.exit(l.Ref, reaper.Status{Code: 3})
		return Asked{make(chan struct{})}
	}
}

func TestAReloadOfABrokenCommandStopsAtTheFirstSlot(t *testing.T) {
	for name, d := range map[string]Disruption{"in place": {MaxUnavailable: 1}, "with a surge": {MaxSurge: 1}} {
		t.Run(name, func(t *testing.T) {
			p := reloading(basePlan(4))
			p.Disruption = d
			answer := make(chan error, 1)
			w, o, _ := play(t, p, nil, func(w *world) {
				w.after(2 * time.Second)
				w.breaks()
				w.in <- ReloadAsked{answer}
				w.after(20 * time.Minute)
				left := 3
				if d.MaxSurge > 0 {
					left = 4
				}
				if n := len(w.alive); n != left {
					t.Errorf("%d workers are left, want %d", n, left)
				}
				w.send(syscall.SIGTERM)
			})
			err := <-answer
			if err == nil || !strings.Contains(err.Error(), "slot 2") || !strings.Contains(err.Error(), "0 of 4") {
				t.Errorf("the answer is %v", err)
			}
			if o.Code != 0 {
				t.Errorf("brood ended with %d", o.Code)
			}
			if n := len(got[ReloadEnded](w)); n != 1 {
				t.Errorf("the reload ended %d times", n)
			}
		})
	}
}

func TestWhoIsNotReadyIsReloadedFirst(t *testing.T) {
	play(t, reloading(basePlan(3)), nil, func(w *world) {
		w.after(2 * time.Second)
		for range 8 { // so that its backoff is long
			w.fail(3, 1)
			w.after(time.Minute)
		}
		w.fail(3, 1)
		w.settle()
		w.events = nil
		w.send(syscall.SIGHUP)
		w.after(10 * time.Second)
		if got := story(w); !strings.HasPrefix(got, "+3.10 !3.10 -2.1 ") {
			t.Errorf("got %s", got)
		}
		w.send(syscall.SIGTERM)
	})
}

func TestAStopEndsAReload(t *testing.T) {
	answers := make(chan error, 2)
	_, o, _ := play(t, reloading(basePlan(3)), nil, func(w *world) {
		w.after(2 * time.Second)
		w.in <- ReloadAsked{answers}
		w.in <- ReloadAsked{answers}
		w.after(1500 * time.Millisecond)
		w.send(syscall.SIGTERM)
	})
	for range 2 {
		if err := <-answers; err == nil {
			t.Error("a reload that was ended has succeeded")
		}
	}
	if o.Code != 0 || o.Reason != ReasonRequested {
		t.Errorf("%+v", o)
	}
}

func TestAReloadAskedForDuringAReloadFollowsIt(t *testing.T) {
	answers := make(chan error, 2)
	w, _, _ := play(t, reloading(basePlan(2)), nil, func(w *world) {
		w.after(2 * time.Second)
		w.in <- ReloadAsked{answers}
		w.after(100 * time.Millisecond)
		w.in <- ReloadAsked{answers}
		w.after(20 * time.Second)
		if ref := w.worker(1); ref.Incarnation != 3 {
			t.Errorf("slot 1 has incarnation %d", ref.Incarnation)
		}
		w.send(syscall.SIGTERM)
	})
	if err := errors.Join(<-answers, <-answers); err != nil {
		t.Error(err)
	}
	if n := len(got[ReloadBegan](w)); n != 2 {
		t.Errorf("%d reloads", n)
	}
}

func TestAWorkerThatIgnoresTheReloadIsKilledAndReplaced(t *testing.T) {
	w, _, _ := play(t, reloading(basePlan(2)), func(w *world) { w.onSignal = ignoreAllBut(w, 0) }, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGHUP)
		w.after(time.Minute)
		if ref := w.worker(2); ref.Incarnation != 2 {
			t.Errorf("slot 2 has incarnation %d", ref.Incarnation)
		}
		w.send(syscall.SIGTERM)
	})
	if x := got[WorkerExited](w); x[0].Reason != ReasonKilled {
		t.Errorf("the first one ended so: %s", x[0].Reason)
	}
}

func TestTheWorkerThatDiesBesideItsSuccessorIsFollowedByIt(t *testing.T) {
	p := reloading(basePlan(2))
	p.Disruption = Disruption{MaxSurge: 1}
	play(t, p, nil, func(w *world) {
		w.after(2 * time.Second)
		w.events = nil
		w.send(syscall.SIGHUP)
		for ref := range w.alive {
			if ref.Slot == 2 && ref.Incarnation == 1 {
				w.exit(ref, reaper.Status{Code: 1})
			}
		}
		w.after(10 * time.Second)
		if got := story(w); !strings.HasPrefix(got, "+2.2 -2.1 !2.2 ") {
			t.Errorf("got %s", got)
		}
		w.send(syscall.SIGTERM)
	})
}

func TestOldWorkersAreReplacedOneAfterAnother(t *testing.T) {
	p := basePlan(4)
	p.MaxAge = time.Hour
	w, _, _ := play(t, p, nil, func(w *world) {
		w.after(time.Hour + time.Minute)
		for slot := 1; slot <= 4; slot++ {
			if ref := w.worker(slot); ref.Incarnation != 2 {
				t.Errorf("slot %d has incarnation %d", slot, ref.Incarnation)
			}
		}
		w.send(syscall.SIGTERM)
	})
	for _, ev := range got[SlotReplaced](w) {
		if ev.Cause != CauseAge {
			t.Errorf("%+v", ev)
		}
	}
	if n := len(got[WorkerTold](w)); n != 4 {
		t.Errorf("%d were told", n)
	}
}

func TestAWorkerThatTakesTooMuchMemoryIsReplaced(t *testing.T) {
	p := basePlan(2)
	p.MaxRSS = 100
	w, _, _ := play(t, p, func(w *world) { w.rss[Ref{KindWorker, 2, 1}] = 101; w.rss[Ref{KindWorker, 1, 1}] = 100 }, func(w *world) {
		w.after(20 * time.Second)
		if a, b := w.worker(1), w.worker(2); a.Incarnation != 1 || b.Incarnation != 2 {
			t.Errorf("%v, %v", a, b)
		}
		w.send(syscall.SIGTERM)
	})
	if n := len(got[TooMuchMemory](w)); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

func TestABigWorkerWhoseSuccessorsFailIsSparedForTheLongestBackoff(t *testing.T) {
	p := basePlan(2)
	p.Disruption = Disruption{MaxSurge: 1}
	p.MaxRSS = 100
	w, _, _ := play(t, p, func(w *world) { w.rss[Ref{KindWorker, 2, 1}] = 101 }, func(w *world) {
		w.after(2 * time.Second)
		w.breaks()
		w.after(5 * time.Minute)
		if n := w.worker(2).Incarnation; n != 1 {
			t.Errorf("incarnation %d has taken over", n)
		}
		w.send(syscall.SIGTERM)
	})
	// After 5 s, and from then on not more often than every 30 s.
	if n := len(got[ReplacementFailed](w)); n < 5 || n > 10 {
		t.Errorf("%d successors have failed, want one every 30 to 35 s of 5 minutes", n)
	}
}

func TestScaling(t *testing.T) {
	for name, test := range map[string]struct {
		Scale
		want int
		err  string
	}{
		"to a number":       {Scale{N: 5}, 5, ""},
		"one more":          {Scale{N: 1, Relative: true}, 4, ""},
		"one less":          {Scale{N: -1, Relative: true}, 2, ""},
		"as before":         {Scale{N: 3}, 3, ""},
		"to what is auto":   {Scale{Auto: true, N: 9}, 9, ""},
		"not below its own": {Scale{N: 0, Relative: true, Least: 4}, 3, "at least 4"},
		"beyond the most":   {Scale{N: 9}, 3, "--max-processes"},
		"below the least":   {Scale{N: 1}, 3, "at least 2"},
		"below, step by it": {Scale{N: -2, Relative: true}, 3, "at least 2"},
	} {
		got, err := test.apply(3, 2, 8)
		if got != test.want || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

func running(w *world) []int {
	var slots []int
	for ref := range w.alive {
		if ref.Kind == KindWorker {
			slots = append(slots, ref.Slot)
		}
	}
	slices.Sort(slots)
	return slots
}

func TestScalingTakesTheHighestAndFillsTheLowest(t *testing.T) {
	p := basePlan(4)
	p.Signals[syscall.SIGTTIN], p.Signals[syscall.SIGTTOU] = Action{Kind: ActionScaleUp}, Action{Kind: ActionScaleDown}
	w, o, _ := play(t, p, nil, func(w *world) {
		wants := func(want ...int) {
			t.Helper()
			w.after(5 * time.Second)
			if got := running(w); !slices.Equal(got, want) {
				t.Errorf("slots %v run, want %v", got, want)
			}
		}
		wants(1, 2, 3, 4)
		w.send(syscall.SIGTTOU)
		w.send(syscall.SIGTTOU)
		wants(1, 2)
		w.send(syscall.SIGTTIN)
		wants(1, 2, 3)
		if ref := w.worker(3); ref.Incarnation != 2 {
			t.Errorf("slot 3 begins anew with incarnation %d", ref.Incarnation)
		}
		answer := make(chan ScaleResult, 1)
		w.in <- ScaleAsked{Scale{N: 0}, answer}
		wants()
		if r := <-answer; r.Err != nil || r.From != 3 || r.To != 0 {
			t.Errorf("%+v", r)
		}
		w.in <- ScaleAsked{Scale{N: 2}, answer}
		wants(1, 2)
		w.send(syscall.SIGTERM)
	})
	if o.Code != 0 {
		t.Errorf("code %d", o.Code)
	}
	leads := 0
	for _, s := range got[WorkerStarted](w) {
		if s.Leader {
			leads++
		}
	}
	if leads != 2 {
		t.Errorf("%d have led", leads)
	}
}

func TestASlotIsTakenBackWhileItsWorkerEnds(t *testing.T) {
	p := basePlan(2)
	p.Signals[syscall.SIGTTIN], p.Signals[syscall.SIGTTOU] = Action{Kind: ActionScaleUp}, Action{Kind: ActionScaleDown}
	play(t, p, func(w *world) {
		w.onSignal = func(ref Ref, _ syscall.Signal) {
			w.later(time.Second, func() { w.exit(ref, reaper.Status{}) })
		}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTTOU)
		w.send(syscall.SIGTTIN)
		w.after(5 * time.Second)
		if got := story(w); !strings.HasSuffix(got, "-2.1 +2.2 !2.2") {
			t.Errorf("got %s", got)
		}
		w.send(syscall.SIGTERM)
	})
}

func TestTheCountFollowsTheLimitsUntilSomebodyScales(t *testing.T) {
	p := basePlan(2)
	p.FollowLimits = true
	play(t, p, nil, func(w *world) {
		wants := func(want int) {
			t.Helper()
			w.after(10 * time.Second)
			if got := len(running(w)); got != want {
				t.Errorf("%d workers, want %d", got, want)
			}
		}
		wants(2)
		w.in <- LimitsSeen{4, "quota=4"}
		wants(4)
		w.in <- LimitsSeen{1, "quota=1"}
		wants(1)
		w.in <- ScaleAsked{Scale: Scale{N: 3}}
		wants(3)
		w.in <- LimitsSeen{2, "quota=2"}
		wants(3)
		w.in <- ScaleAsked{Scale: Scale{Auto: true, N: 2}}
		wants(2)
		w.in <- LimitsSeen{3, "quota=3"}
		wants(3)
		w.send(syscall.SIGTERM)
	})
}

func TestALimitThatChangesDuringAReloadCountsAfterIt(t *testing.T) {
	p := reloading(basePlan(3))
	p.FollowLimits = true
	w, _, _ := play(t, p, nil, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGHUP)
		w.in <- LimitsSeen{1, "quota=1"}
		w.after(500 * time.Millisecond)
		if n := len(got[Scaled](w)); n != 0 {
			t.Error("it counted at once")
		}
		w.after(20 * time.Second)
		if n := len(running(w)); n != 1 {
			t.Errorf("%d workers", n)
		}
		w.send(syscall.SIGTERM)
	})
	if r := got[ReloadEnded](w); len(r) != 1 || r[0].Replaced != 3 || r[0].Err != nil {
		t.Errorf("%+v", r)
	}
}

func TestASurplusGoesAsFastAsTheBudgetAllows(t *testing.T) {
	p := basePlan(5)
	play(t, p, func(w *world) {
		w.onSignal = func(ref Ref, _ syscall.Signal) {
			w.later(time.Second, func() { w.exit(ref, reaper.Status{}) })
		}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.in <- ScaleAsked{Scale: Scale{N: 2}}
		for left := 5; left > 2; left-- {
			if n := len(running(w)); n != left {
				t.Errorf("%d run, want %d", n, left)
			}
			w.after(time.Second)
		}
		w.send(syscall.SIGTERM)
	})
}

// A slot whose work is done will never be ready again, and must not hold the
// others up.
func TestACompletedSlotDoesNotHoldUpAReload(t *testing.T) {
	answer := make(chan error, 1)
	play(t, reloading(basePlan(3)), nil, func(w *world) {
		w.after(2 * time.Second)
		w.exit(w.worker(2), reaper.Status{})
		w.after(time.Second)
		w.in <- ReloadAsked{answer}
		w.after(10 * time.Second)
		select {
		case err := <-answer:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the reload does not end")
		}
		w.send(syscall.SIGTERM)
	})
}

// Its turn comes: the reload is not over before that, and counts it.
func TestAWorkerThatGetsOldDuringAReloadIsStillReloaded(t *testing.T) {
	p := reloading(basePlan(3))
	p.MaxAge = 10 * time.Second
	w, _, _ := play(t, p, func(w *world) {
		w.onSignal = func(ref Ref, _ syscall.Signal) { // slow to end
			w.later(3*time.Second, func() { w.exit(ref, reaper.Status{}) })
		}
	}, func(w *world) {
		w.after(8 * time.Second)
		w.send(syscall.SIGHUP)
		w.after(14 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if r := got[ReloadEnded](w); len(r) != 1 || r[0].Replaced != 3 || r[0].Err != nil {
		t.Errorf("%+v", r)
	}
	for _, r := range got[SlotReplaced](w) {
		if r.Cause != CauseReload {
			t.Errorf("%+v", r)
		}
	}
}

// The reload that would have served it has failed: it is as old as before.
func TestAWorkerThatGetsOldDuringAFailingReloadIsReplacedAfterIt(t *testing.T) {
	p := reloading(basePlan(2))
	p.MaxAge = 10 * time.Second
	p.Backoff = Backoff{time.Second, time.Second}
	broken := false
	w, _, _ := play(t, p, func(w *world) {
		w.onSignal = func(ref Ref, _ syscall.Signal) {
			w.later(3*time.Second, func() { w.exit(ref, reaper.Status{}) })
		}
		w.onStart = func(l Launch) Input {
			if broken {
				return StartFailed{Ref: l.Ref, Err: errNoFork}
			}
			return nil
		}
	}, func(w *world) {
		w.after(8 * time.Second)
		broken = true
		w.send(syscall.SIGHUP)
		w.after(4 * time.Second)
		broken = false
		w.after(8 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if r := got[ReloadEnded](w); len(r) != 1 || r[0].Err == nil {
		t.Errorf("%+v", r)
	}
	if r := got[SlotReplaced](w); len(r) == 0 || r[0].Slot != 1 || r[0].Cause != CauseAge {
		t.Errorf("%+v", r)
	}
}

// It has come back before its turn, and its turn is that of the reload again.
func TestAStuckWorkerThatRecoversDuringAReloadIsStillReloaded(t *testing.T) {
	p := reloading(basePlan(4))
	p.Live = Check{Prober: anyProber{}}
	p.ReadyTimeout = time.Minute
	hangs := true
	w, _, _ := play(t, p, func(w *world) {
		w.onProbe = func(ref Ref) (error, bool) {
			if ref.Slot == 1 && ref.Incarnation == 1 && hangs {
				return errNoAnswer, true
			}
			return nil, true
		}
		w.onSignal = func(ref Ref, _ syscall.Signal) {
			w.later(5*time.Second, func() { w.exit(ref, reaper.Status{}) })
		}
	}, func(w *world) {
		w.after(26 * time.Second)
		w.send(syscall.SIGHUP) // the leader, slot 1, is last
		w.after(9 * time.Second)
		hangs = false
		w.after(30 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if n := len(got[WorkerStuck](w)); n != 1 {
		t.Errorf("it was stuck %d times", n)
	}
	if r := got[ReloadEnded](w); len(r) != 1 || r[0].Replaced != 4 || r[0].Err != nil {
		t.Errorf("%+v", r)
	}
}

// The one that is too many is the only one that serves.
func TestASurplusServesUntilThoseThatAreWantedDo(t *testing.T) {
	p := basePlan(3)
	p.Ready, p.ReadyTimeout = Check{Notify: true}, time.Hour
	play(t, p, nil, func(w *world) {
		w.in <- Notified{Ref: w.worker(3), Ready: true}
		w.in <- ScaleAsked{Scale: Scale{N: 2}}
		w.after(time.Minute)
		if n := len(running(w)); n != 3 {
			t.Errorf("%d run, want 3", n)
		}
		w.in <- Notified{Ref: w.worker(2), Ready: true}
		w.after(time.Minute)
		if n := len(running(w)); n != 2 || w.worker(2) == (Ref{}) {
			t.Errorf("%d run, want slots 1 and 2", n)
		}
		w.in <- ScaleAsked{Scale: Scale{N: 0}}
		w.after(time.Minute)
		if n := len(running(w)); n != 0 {
			t.Errorf("%d run, want none", n)
		}
		w.send(syscall.SIGTERM)
	})
}

// A slot whose worker is on its way out when its successor gets ready is ready.
func TestTheSuccessorOfAWorkerOnItsWayOutMakesTheSlotReady(t *testing.T) {
	old, next := Ref{KindWorker, 2, 1}, Ref{KindWorker, 2, 2}
	for name, leave := range map[string]func(*model){
		"it says so": func(m *model) { m.engine.handle(Notified{Ref: old, Stopping: true}) },
		"it was scaled away and is wanted again": func(m *model) {
			m.happen(choice{do: "down"})
			m.happen(choice{do: "up"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, small(2, 1), chances{reloads: 1, downs: 1, ups: 1}, false)
				m.settle()
				m.happen(choice{do: "reload"})
				leave(m)
				m.happen(choice{do: "started", Ref: next})
				for range 3 {
					m.happen(choice{do: "time"})
				}
				if s := m.engine.slots.get(2); s.state != SlotReady || s.worker.ref != next || len(m.broken) > 0 {
					t.Errorf("the slot is %s with %v, %v", s.state, s.worker.ref, m.broken)
				}
			})
		})
	}
}
