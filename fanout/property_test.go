package fanout

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/brood-init/brood/reaper"
)

// move is one thing that happens to a brood from outside.
type move struct {
	Do   string
	Slot int
	Code int
	Wait time.Duration
}

func moves() *rapid.Generator[[]move] {
	one := rapid.Custom(func(t *rapid.T) move {
		return move{
			Do: rapid.SampledFrom([]string{
				"wait", "wait", "wait", "exit", "exit", "crash", "forward", "stop", "register", "unregister", "leave behind",
				"reload", "up", "down", "limits", "notify", "fat", "stick", "extend", "break", "mend", "say stop",
			}).Draw(t, "do"),
			Slot: rapid.IntRange(1, 4).Draw(t, "slot"),
			Code: rapid.SampledFrom([]int{0, 0, 1, 3, 143}).Draw(t, "code"),
			Wait: time.Duration(rapid.IntRange(0, 3000).Draw(t, "wait")) * time.Millisecond,
		}
	})
	return rapid.SliceOfN(one, 0, 40)
}

func plans() *rapid.Generator[Plan] {
	return rapid.Custom(func(t *rapid.T) Plan {
		p := basePlan(rapid.IntRange(0, 4).Draw(t, "count"))
		p.Restart = rapid.SampledFrom([]RestartPolicy{RestartOnFailure, RestartAlways, RestartNever}).Draw(t, "restart")
		p.Disruption = rapid.SampledFrom([]Disruption{{1, 0}, {2, 0}, {0, 1}, {1, 1}, {0, 2}}).Draw(t, "disruption")
		p.FollowLimits = rapid.Bool().Draw(t, "follow limits")
		p.MinCount, p.MaxCount = 0, 6
		p.MaxRSS = 100
		p.MaxAge = time.Duration(rapid.SampledFrom([]int{0, 0, 5, 20}).Draw(t, "max age")) * time.Second
		if rapid.Bool().Draw(t, "ready by notify") {
			p.Ready, p.ReadyTimeout = Check{Notify: true}, 2*time.Second
		}
		p.Watchdog = time.Duration(rapid.SampledFrom([]int{3, 30, 3600}).Draw(t, "watchdog")) * time.Second
		p.FailFast = rapid.Bool().Draw(t, "fail fast")
		p.Leftovers = rapid.SampledFrom([]LeftoverPolicy{LeftoversKill, LeftoversKeep}).Draw(t, "leftovers")
		p.MaxRestarts.Failures = rapid.IntRange(0, 4).Draw(t, "max restarts")
		p.Backoff = Backoff{10 * time.Millisecond, time.Duration(rapid.IntRange(1, 5000).Draw(t, "backoff")) * time.Millisecond}
		budget := time.Duration(rapid.IntRange(200, 9000).Draw(t, "budget")) * time.Millisecond
		drain := time.Duration(rapid.IntRange(0, 2000).Draw(t, "drain")) * time.Millisecond
		p.Stop = NewSchedule(budget, drain, 0)
		if rapid.Bool().Draw(t, "finish") {
			p = withFinish(p)
		}
		if rapid.Bool().Draw(t, "prepare") {
			withPrepare(&p)
		}
		if rapid.Bool().Draw(t, "exit hook") {
			p.OnWorkerExit = Hook{Args: []string{"told"}}
		}
		return p
	})
}

// Whatever happens in whatever order: no worker is lost, none is doubled, one
// leads at most, nobody is told twice, no more ready ones are taken down than
// may be, a reload that is well has replaced all, the finish hook runs once, and
// brood leaves within its budget.
func TestWhateverHappensTheEngineKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := plans().Draw(rt, "plan")
		todo := moves().Draw(rt, "moves")
		obeys := rapid.Bool().Draw(rt, "workers obey")
		startsTake := time.Duration(rapid.SampledFrom([]int{0, 0, 700}).Draw(rt, "starts take")) * time.Millisecond
		stopsTake := time.Duration(rapid.SampledFrom([]int{0, 0, 400}).Draw(rt, "stops take")) * time.Millisecond
		var broken []string
		violation := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }

		w, _, _ := play(t, plan, func(w *world) {
			w.stubborn = !obeys
			switch {
			case !obeys:
				w.onSignal = ignoreAllBut(w, 0)
			case stopsTake > 0:
				w.onSignal = func(ref Ref, sig syscall.Signal) {
					if sig == syscall.SIGHUP || sig == syscall.SIGUSR1 {
						return
					}
					w.later(stopsTake, func() {
						if w.alive[ref] != 0 {
							w.exit(ref, reaper.Status{Signal: sig})
						}
					})
				}
			}
			w.onStart = func(l Launch) Input {
				w.checkStart(l, plan, violation)
				if w.broken && (l.Kind == KindWorker || l.Kind == KindExitHook) {
					return StartFailed{Ref: l.Ref, Err: errNoFork}
				}
				if startsTake == 0 || l.Kind != KindWorker {
					return nil
				}
				w.later(startsTake, func() {
					if w.discard {
						w.in <- StartFailed{Ref: l.Ref, Err: errDiscarded}
						return
					}
					w.begin(l.Ref)
				})
				return Asked{make(chan struct{})}
			}
			w.onEvent = func(ev Event) {
				w.checkDisruption(ev, plan, violation)
				w.checkReload(ev, violation)
			}
		}, func(w *world) {
			for _, m := range todo {
				w.make(m)
			}
			w.send(syscall.SIGTERM)
			w.after(plan.Stop.Budget)
			if n := len(got[Exiting](w)); n != 1 {
				violation("%d last events at the end of the budget", n)
			}
		})
		w.checkEnd(plan, violation)
		if len(broken) > 0 {
			rt.Fatalf("%v\nmoves: %+v", broken, todo)
		}
	})
}

// make lets one thing happen, if it can.
func (w *world) make(m move) {
	var ref Ref
	for r := range w.alive {
		if r.Kind == KindWorker && r.Slot == m.Slot && (ref == (Ref{}) || r.Incarnation < ref.Incarnation) {
			ref = r
		}
	}
	for r := range w.alive { // hooks end when nothing else is asked for
		if r.Kind != KindWorker && m.Do == "exit" && ref == (Ref{}) {
			ref = r
		}
	}
	switch m.Do {
	case "exit":
		if ref != (Ref{}) {
			w.exit(ref, reaper.Status{Code: m.Code})
		}
	case "crash":
		if ref != (Ref{}) {
			w.exit(ref, reaper.Status{Signal: syscall.SIGSEGV})
		}
	case "leave behind":
		if ref != (Ref{}) && ref.Kind == KindWorker {
			w.leftovers[ref] = true
		}
	case "forward":
		w.forwarded()
		w.in <- SignalArrived{syscall.SIGHUP}
	case "reload":
		if len(got[Exiting](w)) == 0 {
			w.in <- ReloadAsked{w.answer()}
		}
	case "up", "down":
		n := 1
		if m.Do == "down" {
			n = -1
		}
		w.in <- ScaleAsked{Scale: Scale{Relative: true, N: max(n, n*m.Slot), Auto: m.Code == 3 && n > 0}}
	case "limits":
		w.in <- LimitsSeen{m.Slot, "test"}
	case "notify":
		for r := range w.alive {
			if r.Kind == KindWorker && r.Slot >= m.Slot {
				w.in <- Notified{Ref: r, Ready: true, Stopping: m.Code == 1, Ping: true}
			}
		}
	case "extend":
		if ref != (Ref{}) {
			w.in <- Notified{Ref: ref, Extend: time.Duration(m.Slot) * time.Second, Reloading: m.Code == 1}
		}
	case "break", "mend":
		w.broken = m.Do == "break"
	case "say stop":
		w.in <- StopAsked{}
	case "fat":
		if ref != (Ref{}) {
			w.rss[ref] = 200
		}
	case "stick":
		if ref != (Ref{}) {
			w.in <- Notified{Ref: ref, Trigger: true}
		}
	case "stop":
		w.in <- SignalArrived{syscall.SIGTERM}
	case "register":
		w.registered = append(w.registered, RegisteredProcess{Index: 10 + len(w.registered), PID: 5000 + m.Slot})
	case "unregister":
		w.unregister(5000 + m.Slot)
	}
	w.after(m.Wait)
}

// forwarded notes who is to get a signal: each live worker, once. Everything has
// settled, so the test and the engine agree on who that is. In a stop some may
// get none.
func (w *world) forwarded() {
	if w.engine.Snapshot().Phase == PhasePreparing {
		w.early++ // for the first worker of each slot
	}
	for _, l := range w.launches { // one that has not begun yet gets it later
		w.mayGet[l.Ref]++
	}
	for ref := range w.alive {
		if !w.engine.Snapshot().Stopping() {
			w.mustGet[ref]++
		}
	}
}

// answer is a place for the answer to a reload; each has to come.
func (w *world) answer() chan<- error {
	one := make(chan error, 1)
	w.answers = append(w.answers, one)
	return one
}

// checkStart runs on the engine's goroutine, so it may look at the engine.
func (w *world) checkStart(l Launch, plan Plan, violation func(string, ...any)) {
	leads := func(env []string) bool { return slices.Contains(env, "BROOD_LEADER=1") }
	workers, beside := 0, 0
	for ref := range w.alive {
		if ref.Kind != KindWorker || l.Kind != KindWorker {
			continue
		}
		if _, worker := w.engine.incarnation(ref); worker == nil || worker.sent == 0 {
			workers++
		}
		if ref.Slot == l.Slot {
			beside++
		}
		for _, other := range w.launches {
			if other.Ref == ref && leads(other.Env) && leads(l.Env) {
				violation("%v is to lead while %v does", l.Ref, ref)
			}
		}
	}
	if beside > 0 && !l.Beside || beside > 1 {
		violation("%v is started while %d of its slot run", l.Ref, beside)
	}
	surplus := max(0, w.engine.slots.open-w.engine.wanted) // to be closed as fast as the budget allows
	if most := w.engine.wanted + surplus + plan.Disruption.MaxSurge; l.Kind == KindWorker && workers >= most {
		violation("%v is started while %d of %d run", l.Ref, workers, most)
	}
	for ref := range w.leftovers {
		if w.alive[ref] == 0 && ref.Slot == l.Slot && l.Kind == KindWorker && leads(l.Env) {
			violation("%v is to lead while something is left of %v", l.Ref, ref)
		}
	}
}

// checkDisruption sees to it that brood itself takes down no more ready workers
// than it may.
func (w *world) checkDisruption(ev Event, plan Plan, violation func(string, ...any)) {
	told, ok := ev.(WorkerTold)
	if !ok || told.Signal == syscall.SIGKILL {
		return
	}
	s := w.engine.slots.get(told.Slot)
	if s == nil || s.worker == nil || s.worker.ref.Incarnation != told.Incarnation || s.state != SlotReady {
		return
	}
	wanted := w.engine.moment().wanted // without those whose work is done
	if left := w.engine.ready - 1; left < wanted-max(1, plan.Disruption.MaxUnavailable) {
		violation("slot %d was taken down for %s, which leaves %d of %d ready", told.Slot, told.Why, left, wanted)
	}
}

// checkReload sees to it that what runs after a reload that was well is not older
// than the reload.
func (w *world) checkReload(ev Event, violation func(string, ...any)) {
	ended, ok := ev.(ReloadEnded)
	if !ok || ended.Err != nil {
		return
	}
	began := time.Now().Add(-ended.Took)
	for s := range w.engine.slots.all() {
		if !s.closing && !s.finished && s.worker != nil && s.worker.sent == 0 && s.worker.pid != 0 && s.worker.began.Before(began) {
			violation("%v of slot %d has not been reloaded", s.worker.ref, s.number)
		}
	}
}

func (w *world) checkEnd(plan Plan, violation func(string, ...any)) {
	started, exited := map[Ref]int{}, map[Ref]int{}
	for _, ev := range w.events {
		switch ev := ev.(type) {
		case WorkerStarted:
			started[Ref{KindWorker, ev.Slot, ev.Incarnation}]++
		case WorkerExited:
			exited[Ref{KindWorker, ev.Slot, ev.Incarnation}]++
		case Panicked:
			violation("the engine panicked: %v\n%s", ev.Value, ev.Stack)
		}
	}
	for ref, n := range started {
		if n != 1 || exited[ref] != 1 {
			violation("%v has started %d times and ended %d times", ref, n, exited[ref])
		}
	}
	for i, answer := range w.answers {
		if len(answer) != 1 {
			violation("reload %d of %d has %d answers", i+1, len(w.answers), len(answer))
		}
	}
	type receiver struct {
		Ref
		group bool // what a worker has left behind
	}
	told, got := map[receiver]int{}, map[Ref]int{}
	for _, s := range w.signals {
		switch {
		case s.Kind != KindWorker:
		case s.sig == syscall.SIGTERM:
			told[receiver{s.Ref, s.group}]++
		case s.sig == syscall.SIGHUP:
			got[s.Ref]++
		}
	}
	for to, n := range told {
		if n > 1 {
			violation("%v was told to stop %d times", to, n)
		}
	}
	for ref := range started {
		early := 0
		if ref.Incarnation == 1 {
			early = w.early
		}
		if n := got[ref]; n < w.mustGet[ref] || n > w.mayGet[ref]+early {
			violation("%v got %d of %d to %d signals", ref, n, w.mustGet[ref], w.mayGet[ref]+early)
		}
	}
	wanted := 0
	if plan.Finish.Defined() && (plan.Prepare.Defined() || w.started(KindWorker) > 0) {
		wanted = 1
	}
	if n := w.started(KindFinish); n != wanted {
		violation("the finish hook was started %d times, want %d", n, wanted)
	}
	for ref := range w.alive {
		violation("%v has outlived brood", ref)
	}
}
