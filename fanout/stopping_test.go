package fanout

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/reaper"
)

func TestAStopIsHonouredByEverybody(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		w, o, took := play(t, withFinish(basePlan(4)), nil, func(w *world) {
			w.after(2 * time.Second)
			w.send(sig)
			w.exit(finishRef, reaper.Status{})
		})
		if o != (Outcome{Reason: ReasonRequested}) {
			t.Errorf("%v: ended with %+v", sig, o)
		}
		if n := len(w.sent(sig)); n != 4 {
			t.Errorf("%v was sent %d times", sig, n)
		}
		if took > 3*time.Second {
			t.Errorf("took %s", took)
		}
		if w.started(KindFinish) != 1 || w.cleaned != 1 {
			t.Errorf("finish hook %d times, cleaned up %d times", w.started(KindFinish), w.cleaned)
		}
	}
}

// Thousands of PID files on a busy disk take their time, and there is some left.
func TestRemovingFilesMayUseWhatIsLeftOfTheBudget(t *testing.T) {
	for slow, want := range map[time.Duration]time.Duration{
		3 * time.Second: 3 * time.Second,
		time.Hour:       9 * time.Second,
	} {
		w, o, took := play(t, basePlan(2), nil, func(w *world) {
			w.slowDisk = slow
			w.after(2 * time.Second)
			w.send(syscall.SIGTERM)
		})
		if o.Code != 0 || w.cleaned != 1 {
			t.Errorf("ended with %+v, cleaned up %d times", o, w.cleaned)
		}
		if took -= 2 * time.Second; took < want || took > want+100*time.Millisecond {
			t.Errorf("with files that take %s the stop took %s, want %s", slow, took, want)
		}
	}
}

func TestTheStopSignalCanBeChosen(t *testing.T) {
	plan := basePlan(2)
	plan.StopSignal = syscall.SIGQUIT
	w, o, _ := play(t, plan, nil, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if len(w.sent(syscall.SIGQUIT)) != 2 || len(w.sent(syscall.SIGTERM)) != 0 || o.Code != 0 {
		t.Errorf("signals %v, ended with %+v", w.signals, o)
	}
}

func TestADrainDelayLetsWorkersServeOn(t *testing.T) {
	plan := basePlan(2)
	plan.Stop = NewSchedule(9*time.Second, 3*time.Second, 0)
	_, _, took := play(t, plan, nil, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
		w.after(2900 * time.Millisecond)
		if len(w.signals) != 0 {
			t.Errorf("signalled during the drain delay: %v", w.signals)
		}
		w.after(200 * time.Millisecond)
		if len(w.sent(syscall.SIGTERM)) != 2 {
			t.Errorf("not signalled after the drain delay: %v", w.signals)
		}
	})
	if took < 5*time.Second || took > 6*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestAWorkerThatFailsDuringTheDrainIsNotStartedAgain(t *testing.T) {
	plan := basePlan(2)
	plan.Stop = NewSchedule(9*time.Second, 3*time.Second, 0)
	w, o, _ := play(t, plan, nil, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
		w.after(time.Second)
		w.fail(1, 8)
	})
	if w.started(KindWorker) != 2 || o != (Outcome{Code: 8, Reason: ReasonFailed, Slot: 1}) {
		t.Errorf("%d starts, ended with %+v", w.started(KindWorker), o)
	}
}

func TestWhoIgnoresTheStopSignalIsKilledWithinTheBudget(t *testing.T) {
	w, o, took := play(t, withFinish(basePlan(2)), func(w *world) { w.onSignal = ignoreAllBut(w, 0) }, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
		w.after(2900 * time.Millisecond)
		if len(got[StillRunning](w)) != 0 {
			t.Error("complained before half the grace")
		}
		w.after(200 * time.Millisecond)
		if n := len(got[StillRunning](w)); n != 2 {
			t.Errorf("named %d of 2 slow workers at half the grace", n)
		}
		w.after(2500 * time.Millisecond)
		if len(w.sent(syscall.SIGKILL)) != 0 {
			t.Error("killed before the grace was over")
		}
		w.after(500 * time.Millisecond)
		w.exit(finishRef, reaper.Status{})
	})
	if o.Code != 137 || o.Reason != ReasonKilled {
		t.Errorf("ended with %+v", o)
	}
	if took > 11*time.Second {
		t.Errorf("took %s", took)
	}
	for _, s := range w.signals {
		if s.sig == syscall.SIGKILL && !s.group {
			t.Errorf("SIGKILL went to a process and not to its group: %v", s)
		}
	}
}

func TestDoublesWithinAHundredMillisecondsAreOneRequest(t *testing.T) {
	w, o, _ := play(t, basePlan(1), func(w *world) {
		w.onSignal = func(ref Ref, sig syscall.Signal) {
			w.later(3*time.Second, func() { w.exit(ref, reaper.Status{}) })
		}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGINT)
		w.after(99 * time.Millisecond)
		w.send(syscall.SIGTERM)
		w.after(99 * time.Millisecond)
		w.send(syscall.SIGTERM)
	})
	if len(w.sent(syscall.SIGINT)) != 1 || len(w.sent(syscall.SIGTERM))+len(w.sent(syscall.SIGKILL)) != 0 || o.Code != 0 {
		t.Errorf("signals %v, ended with %+v", w.signals, o)
	}
}

func TestEachFurtherStopSignalEndsThePhaseThatIsUnderWay(t *testing.T) {
	plan := withFinish(basePlan(2))
	plan.Stop = NewSchedule(60*time.Second, 20*time.Second, 2*time.Second)
	w, o, took := play(t, plan, func(w *world) {
		w.onSignal = ignoreAllBut(w, 0)
		w.stragglers, w.stubborn = []Straggler{{PID: 7, Comm: "s"}}, true
	}, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM) // drain
		w.after(time.Second)
		w.send(syscall.SIGTERM) // stop signal
		if len(w.sent(syscall.SIGTERM)) != 2 {
			t.Errorf("the second signal has not ended the drain: %v", w.signals)
		}
		w.after(time.Second)
		w.send(syscall.SIGTERM) // kill
		if len(w.sent(syscall.SIGKILL)) != 2 {
			t.Errorf("the third signal has not ended the grace: %v", w.signals)
		}
		w.after(200 * time.Millisecond)
		w.send(syscall.SIGTERM) // stragglers
		w.after(time.Second)
		w.send(syscall.SIGTERM) // the finish hook goes on
		w.after(time.Second)
		w.exit(finishRef, reaper.Status{})
	})
	if took > 8*time.Second || o.Code != 137 || w.started(KindFinish) != 1 {
		t.Errorf("took %s, ended with %+v, finish hook %d times", took, o, w.started(KindFinish))
	}
	for _, s := range w.signals {
		if s.Kind == KindFinish {
			t.Errorf("the finish hook was signalled: %v", s)
		}
	}
}

func TestASecondSignalCanBeIgnored(t *testing.T) {
	plan := basePlan(1)
	plan.SecondSignal = SecondSignalIgnore
	w, _, took := play(t, plan, func(w *world) { w.onSignal = ignoreAllBut(w, 0) }, func(w *world) {
		w.after(time.Second)
		w.send(syscall.SIGTERM)
		w.after(time.Second)
		w.send(syscall.SIGTERM)
	})
	if took < 8*time.Second {
		t.Errorf("took only %s, signals %v", took, w.signals)
	}
}

func TestRegisteredProcessesGetSIGTERMOnceAndAreWaitedFor(t *testing.T) {
	w, o, took := play(t, basePlan(1), func(w *world) {
		w.registered = []RegisteredProcess{{Index: 0, PID: 50, Comm: "router"}}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGQUIT)
		w.after(3 * time.Second)
		w.unregister(50)
	})
	signalled := got[RegisteredSignalled](w)
	if len(signalled) != 1 || signalled[0].Signal != syscall.SIGTERM {
		t.Errorf("signalled: %+v", signalled)
	}
	if o.Code != 0 || took < 5*time.Second {
		t.Errorf("ended with %+v after %s", o, took)
	}
}

func TestARegisteredProcessThatStaysIsKilledAndToldByTheExitCode(t *testing.T) {
	_, o, took := play(t, basePlan(1), func(w *world) {
		w.registered = []RegisteredProcess{{Index: 0, PID: 50}}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if o != (Outcome{Code: 137, Reason: ReasonKilled}) || took > 11*time.Second {
		t.Errorf("ended with %+v after %s", o, took)
	}
}

func TestOneWhoRegistersDuringTheStopIsTold(t *testing.T) {
	_, o, _ := play(t, basePlan(1), func(w *world) { w.onSignal = ignoreAllBut(w, 0) }, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
		w.after(time.Second)
		w.registered = []RegisteredProcess{{Index: 7, PID: 51}}
		w.after(time.Second)
		if !w.told[51] {
			t.Error("a process that registered during the grace was not told")
		}
		w.unregister(51)
		w.exit(w.worker(1), reaper.Status{})
	})
	if o.Code != 0 {
		t.Errorf("ended with %+v", o)
	}
}

func TestBroodLivesUntilRegisteredProcessesAreGone(t *testing.T) {
	_, o, took := play(t, basePlan(1), func(w *world) {
		w.registered = []RegisteredProcess{{Index: 0, PID: 50}}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.exit(w.worker(1), reaper.Status{})
		w.after(time.Minute)
		w.unregister(50)
	})
	if o.Code != 0 || took < time.Minute || took > 2*time.Minute {
		t.Errorf("ended with %+v after %s", o, took)
	}
}

func TestStragglersGetTheirShareThenSIGKILL(t *testing.T) {
	w, o, took := play(t, withFinish(basePlan(1)), func(w *world) {
		w.stragglers, w.stubborn = []Straggler{{PID: 60, Comm: "helper"}}, true
	}, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
		w.after(500 * time.Millisecond)
		if w.started(KindFinish) != 0 {
			t.Error("the finish hook runs beside a straggler")
		}
		w.after(7 * time.Second)
		w.exit(finishRef, reaper.Status{})
	})
	if o.Code != 0 {
		t.Errorf("a straggler has decided the exit code: %+v", o)
	}
	if !slices.Contains(w.sweeps, syscall.SIGKILL) || took > 11*time.Second {
		t.Errorf("passes %v, took %s", w.sweeps, took)
	}
}

func TestWhenWorkersEndByThemselvesTheHookHasABudgetOfItsOwn(t *testing.T) {
	w, o, took := play(t, withFinish(basePlan(1)), nil, func(w *world) {
		w.after(2 * time.Second)
		w.exit(w.worker(1), reaper.Status{})
		w.after(7 * time.Second)
		w.exit(finishRef, reaper.Status{Code: 6})
	})
	if o != (Outcome{Code: 6, Reason: ReasonFailed, Hook: KindFinish}) || took < 8*time.Second {
		t.Errorf("ended with %+v after %s", o, took)
	}
	env := w.launches[len(w.launches)-1].Env
	for _, want := range []string{"BROOD_EXIT_CODE=0", "BROOD_REASON=completed"} {
		if !slices.Contains(env, want) {
			t.Errorf("the finish hook lacks %s", want)
		}
	}
}

func TestAFinishHookThatHangsIsKilledAtTheEndOfTheBudget(t *testing.T) {
	w, o, took := play(t, withFinish(basePlan(1)), nil, func(w *world) {
		w.after(time.Second)
		w.send(syscall.SIGTERM)
	})
	if o != (Outcome{Code: 124, Reason: ReasonFailed, Hook: KindFinish}) || took > 10*time.Second {
		t.Errorf("ended with %+v after %s", o, took)
	}
	if sent := w.sent(syscall.SIGKILL); len(sent) != 1 || sent[0] != finishRef {
		t.Errorf("SIGKILL went to %v", sent)
	}
}

// The engine may be late, with the last attempt and the end of the budget at
// once: a hook that never began has not run out of time.
func TestAFinishHookThatCannotBeStartedIsNotOneThatHangs(t *testing.T) {
	plan := withFinish(basePlan(1))
	w, o, took := play(t, plan, func(w *world) {
		w.onStart = refuse(KindFinish, 0) // may pass
		w.onEvent = func(ev Event) {
			if _, late := ev.(SignalReceived); late && w.started(KindFinish) > 3 {
				time.Sleep(plan.Stop.Budget)
			}
		}
	}, func(w *world) {
		w.after(time.Second)
		w.send(syscall.SIGTERM)
		w.after(plan.Stop.Finish / 2)
		w.send(syscall.SIGUSR1)
	})
	if o != (Outcome{Code: CodeNotExecutable, Reason: ReasonFailed, Hook: KindFinish, Err: errNoFork}) || took > 2*plan.Stop.Budget {
		t.Errorf("ended with %+v after %s and %d attempts", o, took, w.started(KindFinish))
	}
}

func TestTheFinishHookRunsOnceOnEveryWayOut(t *testing.T) {
	ways := map[string]struct {
		change  func(*Plan)
		prepare func(*world)
		act     func(*world)
		runs    int
	}{
		"completed":   {act: func(w *world) { w.after(time.Second); w.exit(w.worker(1), reaper.Status{}) }, runs: 1},
		"requested":   {act: func(w *world) { w.send(syscall.SIGTERM) }, runs: 1},
		"fail fast":   {change: func(p *Plan) { p.FailFast = true }, act: func(w *world) { w.after(time.Second); w.fail(1, 1) }, runs: 1},
		"give up":     {change: func(p *Plan) { p.MaxRestarts.Failures = 0 }, act: func(w *world) { w.fail(1, 1) }, runs: 1},
		"not found":   {prepare: func(w *world) { w.onStart = refuse(KindWorker, 127) }, runs: 1},
		"prepare bad": {change: withPrepare, act: func(w *world) { w.exit(prepareRef, reaper.Status{Code: 3}) }, runs: 1},
		"no prepare":  {change: withPrepare, prepare: func(w *world) { w.onStart = refuse(KindPrepare, 127) }, runs: 1},
		"in prepare":  {change: withPrepare, act: func(w *world) { w.send(syscall.SIGTERM) }, runs: 1},
		"no worker":   {change: func(p *Plan) { p.Count = 0 }, act: func(w *world) { w.send(syscall.SIGTERM) }, runs: 0},
		"killed":      {prepare: func(w *world) { w.onSignal = ignoreAllBut(w, 0) }, act: func(w *world) { w.send(syscall.SIGTERM); w.after(7 * time.Second) }, runs: 1},
		"panic": {act: func(w *world) {
			w.in <- nil // an input that the engine does not know is harmless
			w.in <- Exited{Ref: Ref{Kind: KindWorker, Slot: 1 << 40}}
			w.send(syscall.SIGTERM)
		}, runs: 1},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			plan := withFinish(basePlan(2))
			plan.Restart = RestartNever
			if name == "completed" {
				plan.Count = 1
			}
			if name == "give up" {
				plan.Restart = RestartOnFailure
			}
			if way.change != nil {
				way.change(&plan)
			}
			w, _, took := play(t, plan, way.prepare, func(w *world) {
				if way.act != nil {
					way.act(w)
				}
				w.after(time.Second)
				if w.alive[finishRef] != 0 {
					w.exit(finishRef, reaper.Status{})
				}
			})
			if n := w.started(KindFinish); n != way.runs {
				t.Errorf("the finish hook was started %d times, want %d", n, way.runs)
			}
			if took > 20*time.Second || w.cleaned != 1 {
				t.Errorf("took %s, cleaned up %d times", took, w.cleaned)
			}
		})
	}
}

func withPrepare(p *Plan) { p.Prepare = Hook{Args: []string{"prepare"}} }

func refuse(kind Kind, code int) func(Launch) Input {
	return func(l Launch) Input {
		if l.Kind == kind {
			return StartFailed{Ref: l.Ref, Code: code, Err: errNoFork}
		}
		return nil
	}
}

func TestAStopDuringPrepareStartsNoWorker(t *testing.T) {
	plan := withFinish(basePlan(2))
	withPrepare(&plan)
	w, o, _ := play(t, plan, nil, func(w *world) {
		w.after(time.Second)
		w.send(syscall.SIGINT)
		w.exit(finishRef, reaper.Status{})
	})
	if o != (Outcome{Reason: ReasonRequested}) || w.started(KindWorker) != 0 {
		t.Errorf("ended with %+v after %d workers", o, w.started(KindWorker))
	}
	if s := w.signals; len(s) != 1 || s[0] != (sentSignal{prepareRef, syscall.SIGTERM, true}) {
		t.Errorf("signals: %v", s)
	}
}

func TestAPrepareHookOutOfTimeEndsBrood(t *testing.T) {
	plan := basePlan(2)
	withPrepare(&plan)
	plan.Prepare.Timeout = 5 * time.Second
	_, o, took := play(t, plan, nil, nil)
	if o != (Outcome{Code: 124, Reason: ReasonFailed, Hook: KindPrepare}) || took > 6*time.Second {
		t.Errorf("ended with %+v after %s", o, took)
	}
}

// Whatever is stuck, a disk, the kernel, everything: brood leaves in time.
func TestBroodLeavesAtTheEndOfItsBudgetWhateverIsStuck(t *testing.T) {
	for _, stuckFrom := range []time.Duration{0, time.Second} {
		t.Run(fmt.Sprint(stuckFrom), func(t *testing.T) {
			_, _, took := play(t, withFinish(basePlan(3)), func(w *world) {
				w.dead = stuckFrom == 0
				w.stragglers, w.stubborn = []Straggler{{PID: 7}}, true
			}, func(w *world) {
				w.after(stuckFrom)
				w.dead = true
				w.in <- SignalArrived{syscall.SIGTERM}
			})
			if took > stuckFrom+9*time.Second {
				t.Errorf("took %s", took-stuckFrom)
			}
		})
	}
}

func TestAPanicOfTheEngineKillsEverythingAndStillRunsTheHook(t *testing.T) {
	w, o, _ := play(t, withFinish(basePlan(2)), func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Slot == 2 {
				panic("a mistake")
			}
			return nil
		}
	}, func(w *world) {
		w.after(time.Second)
		w.exit(finishRef, reaper.Status{})
	})
	if o != (Outcome{Code: 125, Reason: ReasonInternal}) || w.started(KindFinish) != 1 || len(w.alive) != 0 {
		t.Errorf("ended with %+v, finish hook %d times, alive %v", o, w.started(KindFinish), w.alive)
	}
	if p := got[Panicked](w); len(p) != 1 || !strings.Contains(string(p[0].Stack), "panic") {
		t.Errorf("the panic was told as %v", p)
	}
}

func TestAfterAPauseADeadlineIsPutOffOnce(t *testing.T) {
	var fired []time.Duration
	began := time.Now()
	tm := newTimers()
	note := func() { fired = append(fired, time.Since(began)) }
	tm.push(deadline{at: began.Add(-5 * time.Second), after: time.Hour, run: note})               // overslept
	tm.push(deadline{at: began.Add(-5 * time.Second), after: time.Hour, run: note, put: true})    // overslept twice
	tm.push(deadline{at: began.Add(-5 * time.Second), after: time.Hour, run: note, strict: true}) // the stop budget
	tm.push(deadline{at: began.Add(-time.Millisecond), after: time.Hour, run: note})
	tm.expire()
	if len(fired) != 3 || len(tm.heap) != 1 || time.Until(tm.heap[0].at) < 59*time.Minute {
		t.Errorf("%d fired, %d left", len(fired), len(tm.heap))
	}
}
