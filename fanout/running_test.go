package fanout

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/reaper"
)

func TestEachWorkerLearnsWhoItIsAndOneLeads(t *testing.T) {
	w, _, _ := play(t, basePlan(3), nil, func(w *world) { w.send(syscall.SIGTERM) })
	if w.started(KindWorker) != 3 {
		t.Fatalf("%d workers were started", w.started(KindWorker))
	}
	for i, l := range w.launches {
		want := []string{"BROOD_SLOT=" + string(rune('1'+i)), "BROOD_INDEX=" + string(rune('0'+i)), "BROOD_COUNT=3", "BROOD_INCARNATION=1", "BROOD_PIDFILE=/run/x/web.pid"}
		for _, v := range want {
			if !slices.Contains(l.Env, v) {
				t.Errorf("slot %d lacks %s in %v", i+1, v, l.Env)
			}
		}
		if leads := slices.Contains(l.Env, "BROOD_LEADER=1"); leads != (l.Slot == 1) {
			t.Errorf("slot %d leads: %v", l.Slot, leads)
		}
	}
}

func TestAFailedWorkerIsStartedAgainInItsSlot(t *testing.T) {
	w, o, _ := play(t, basePlan(2), nil, func(w *world) {
		w.after(2 * time.Second)
		w.fail(2, 3)
		w.after(time.Second)
		if ref := w.worker(2); ref.Incarnation != 2 {
			t.Errorf("slot 2 has incarnation %d", ref.Incarnation)
		}
		w.send(syscall.SIGTERM)
	})
	if o.Code != 0 {
		t.Errorf("a failure that was restarted has decided the exit code: %+v", o)
	}
	if n := len(got[WorkerExited](w)); n != 3 {
		t.Errorf("%d exits were told, want 3", n)
	}
}

func TestWhenEveryWorkerHasCompletedBroodEndsWithZero(t *testing.T) {
	w, o, _ := play(t, basePlan(2), nil, func(w *world) {
		w.after(2 * time.Second)
		w.exit(w.worker(1), reaper.Status{})
		w.after(time.Hour / 2)
		w.exit(w.worker(2), reaper.Status{})
	})
	if o != (Outcome{Reason: ReasonCompleted}) {
		t.Errorf("ended with %+v", o)
	}
	done := got[SlotDone](w)
	if len(done) != 2 || done[0].Others != 1 {
		t.Errorf("completions: %+v", done)
	}
}

func TestPolicyAlwaysStartsACompletedWorkerAgain(t *testing.T) {
	plan := basePlan(1)
	plan.Restart = RestartAlways
	w, o, _ := play(t, plan, nil, func(w *world) {
		for range 20 { // success never counts against the crash budget
			w.after(time.Minute)
			w.exit(w.worker(1), reaper.Status{})
			w.after(time.Minute)
		}
		w.send(syscall.SIGTERM)
	})
	if w.started(KindWorker) != 21 || o.Code != 0 {
		t.Errorf("%d starts, ended with %+v", w.started(KindWorker), o)
	}
}

func TestPolicyNeverLeavesAFinishedWorkerFinished(t *testing.T) {
	plan := basePlan(3)
	plan.Restart = RestartNever
	w, o, _ := play(t, plan, nil, func(w *world) {
		w.after(time.Second)
		w.fail(2, 5)
		w.after(time.Second)
		w.fail(1, 4)
		w.after(time.Second)
		w.exit(w.worker(3), reaper.Status{})
	})
	if w.started(KindWorker) != 3 {
		t.Errorf("%d starts", w.started(KindWorker))
	}
	if o != (Outcome{Code: 5, Reason: ReasonFailed, Slot: 2}) {
		t.Errorf("ended with %+v, want the first failure", o)
	}
}

func TestFailFastStopsEverybodyAtTheFirstFailure(t *testing.T) {
	plan := basePlan(3)
	plan.FailFast = true
	w, o, _ := play(t, plan, nil, func(w *world) {
		w.after(2 * time.Second)
		w.fail(2, 42)
	})
	if o != (Outcome{Code: 42, Reason: ReasonFailed, Slot: 2}) {
		t.Errorf("ended with %+v", o)
	}
	if n := len(w.sent(syscall.SIGTERM)); n != 2 {
		t.Errorf("%d workers were told to stop, want 2", n)
	}
}

func TestASlotThatNeverComesUpMakesBroodGiveUp(t *testing.T) {
	w, o, _ := play(t, basePlan(1), func(w *world) {
		w.onStart = func(l Launch) Input {
			w.begin(l.Ref)
			w.exit(l.Ref, reaper.Status{Code: 9})
			return OrphansReaped{}
		}
	}, nil)
	if o != (Outcome{Code: 9, Reason: ReasonGaveUp, Slot: 1}) {
		t.Errorf("ended with %+v", o)
	}
	if n := w.started(KindWorker); n != 11 {
		t.Errorf("gave up after %d starts, want 11", n)
	}
}

func TestBroodDoesNotGiveUpWhileAnotherWorkerIsReady(t *testing.T) {
	plan := basePlan(2)
	crash := true
	w, o, _ := play(t, plan, func(w *world) {
		w.onStart = func(l Launch) Input {
			w.begin(l.Ref)
			if l.Slot == 2 && crash {
				w.later(1500*time.Millisecond, func() { // the other is ready by then
					if w.alive[l.Ref] != 0 {
						w.exit(l.Ref, reaper.Status{Code: 9})
					}
				})
			}
			return OrphansReaped{}
		}
	}, func(w *world) {
		w.after(20 * time.Minute)
		if s := w.states(); s[1] != SlotReady {
			t.Errorf("slot 1 is %s", s[1])
		}
		crash = false
		w.after(10 * time.Minute)
		if s := w.states(); s[2] != SlotReady {
			t.Errorf("a slot that had failed is not retried: %s", s[2])
		}
		w.send(syscall.SIGTERM)
	})
	if o.Code != 0 {
		t.Errorf("ended with %+v", o)
	}
	failed := false
	for _, b := range got[BackingOff](w) {
		if b.Failed {
			failed = true
			if b.Delay != plan.Backoff.Max {
				t.Errorf("a failed slot is retried after %s", b.Delay)
			}
		}
	}
	if !failed {
		t.Error("the slot has never counted as failed")
	}
}

func TestACommandThatCannotBeExecutedEndsBroodAtOnce(t *testing.T) {
	w, o, took := play(t, basePlan(3), func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Slot == 2 {
				return StartFailed{Ref: l.Ref, Code: CodeNotFound, Err: errNoFork}
			}
			return nil
		}
	}, nil)
	if o != (Outcome{Code: 127, Reason: ReasonStartFailed, Slot: 2, Err: errNoFork}) {
		t.Errorf("ended with %+v", o)
	}
	if w.started(KindWorker) != 3 || took > time.Second {
		t.Errorf("%d starts, took %s", w.started(KindWorker), took)
	}
	if len(w.alive) != 0 {
		t.Errorf("still alive: %v", w.alive)
	}
}

func TestAForkThatFailsIsAFailedStartLikeAnyOther(t *testing.T) {
	fails := 5
	w, o, _ := play(t, basePlan(1), func(w *world) {
		w.onStart = func(l Launch) Input {
			if fails--; fails >= 0 {
				return StartFailed{Ref: l.Ref, Err: errNoFork}
			}
			return nil
		}
	}, func(w *world) {
		w.after(5 * time.Minute)
		if ref := w.worker(1); ref.Incarnation != 1 {
			t.Errorf("a start without a process has counted as an incarnation: %d", ref.Incarnation)
		}
		w.send(syscall.SIGTERM)
	})
	if n := len(got[WorkerStartFailed](w)); n != 5 || o.Code != 0 {
		t.Errorf("%d failed starts, ended with %+v", n, o)
	}
}

func TestATakenNumberIsSkippedAndAnotherOpened(t *testing.T) {
	plan := basePlan(3)
	plan.Taken = map[int]int{1: 4711}
	w, _, _ := play(t, plan, func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Slot == 3 {
				return StartFailed{Ref: l.Ref, TakenBy: 4712}
			}
			return nil
		}
	}, func(w *world) {
		w.after(time.Second)
		var slots []int
		for ref := range w.alive {
			slots = append(slots, ref.Slot)
		}
		slices.Sort(slots)
		if !slices.Equal(slots, []int{2, 4, 5}) {
			t.Errorf("workers run in slots %v, want 2 4 5", slots)
		}
		w.send(syscall.SIGTERM)
	})
	for _, l := range w.launches {
		if leads := slices.Contains(l.Env, "BROOD_LEADER=1"); leads != (l.Slot == 2) {
			t.Errorf("slot %d leads: %v", l.Slot, leads)
		}
	}
	if n := len(got[SlotTaken](w)); n != 1 {
		t.Errorf("told %d times that a number is taken", n)
	}
}

func TestWithNoWorkerWantedBroodStaysUp(t *testing.T) {
	_, o, took := play(t, basePlan(0), nil, func(w *world) {
		w.after(time.Hour)
		w.send(syscall.SIGTERM)
	})
	if o.Code != 0 || took < time.Hour {
		t.Errorf("ended with %+v after %s", o, took)
	}
}

func TestLeftoversGoBeforeTheSlotStartsAgain(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		w, _, _ := play(t, basePlan(1), func(w *world) { w.stubborn = stubborn }, func(w *world) {
			w.after(2 * time.Second)
			first := w.worker(1)
			w.leftovers[first] = true
			w.fail(1, 1)
			w.after(950 * time.Millisecond)
			if stubborn && w.started(KindWorker) != 1 {
				t.Error("started again although something was left of the first worker")
			}
			w.after(time.Second)
			w.send(syscall.SIGTERM)
		})
		if w.started(KindWorker) != 2 {
			t.Errorf("stubborn %v: %d starts", stubborn, w.started(KindWorker))
		}
		kills := 0
		for _, s := range w.signals {
			if s.sig == syscall.SIGKILL && s.group {
				kills++
			}
		}
		if want := map[bool]int{false: 0, true: 1}[stubborn]; kills != want {
			t.Errorf("stubborn %v: %d SIGKILLs, want %d", stubborn, kills, want)
		}
	}
}

func TestKeptLeftoversHoldNothingUpButNoSecondLeaderIsMade(t *testing.T) {
	plan := basePlan(1)
	plan.Leftovers = LeftoversKeep
	w, _, _ := play(t, plan, nil, func(w *world) {
		w.after(2 * time.Second)
		first := w.worker(1)
		w.leftovers[first] = true
		w.fail(1, 1)
		w.after(2 * time.Second)
		delete(w.leftovers, first)
		w.fail(1, 1)
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
	})
	var leads []bool
	for _, l := range w.launches {
		leads = append(leads, slices.Contains(l.Env, "BROOD_LEADER=1"))
	}
	if !slices.Equal(leads, []bool{true, false, true}) {
		t.Errorf("leaders by incarnation: %v", leads)
	}
}

func TestAForwardedSignalReachesEachWorkerOnce(t *testing.T) {
	w, _, _ := play(t, basePlan(3), func(w *world) { w.onSignal = ignoreAllBut(w, syscall.SIGTERM) }, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGHUP)
		w.send(syscall.SIGUSR2) // rewritten
		w.send(syscall.SIGWINCH)
		w.send(syscall.SIGTERM)
	})
	if n := len(w.sent(syscall.SIGHUP)); n != 3 {
		t.Errorf("SIGHUP was sent %d times", n)
	}
	if n := len(w.sent(syscall.SIGINT)); n != 3 {
		t.Errorf("the rewritten signal was sent %d times", n)
	}
	if n := len(w.sent(syscall.SIGWINCH)); n != 0 {
		t.Errorf("a signal that is not in the table was sent %d times", n)
	}
}

func TestASignalBeforeOrDuringAStartIsNotLost(t *testing.T) {
	plan := basePlan(2)
	plan.Prepare = Hook{Args: []string{"prepare"}}
	w, _, _ := play(t, plan, func(w *world) {
		w.onSignal = ignoreAllBut(w, syscall.SIGTERM)
		w.onStart = func(l Launch) Input {
			if l.Kind == KindWorker && l.Slot == 2 {
				w.later(time.Second, func() { w.begin(l.Ref) }) // a slow exec
				return OrphansReaped{}
			}
			return nil
		}
	}, func(w *world) {
		w.send(syscall.SIGUSR1) // before
		w.exit(prepareRef, reaper.Status{})
		w.settle()
		w.send(syscall.SIGHUP) // during
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
	})
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP} {
		if n := len(w.sent(sig)); n != 2 {
			t.Errorf("%v was sent %d times, want 2", sig, n)
		}
	}
}

func TestExitHooksRunOneAtATimePerSlotAndHoldNothingUp(t *testing.T) {
	plan := basePlan(2)
	plan.OnWorkerExit = Hook{Args: []string{"told"}}
	w, _, _ := play(t, plan, func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Kind == KindExitHook {
				for ref := range w.alive {
					if ref.Kind == KindExitHook && ref.Slot == l.Slot {
						t.Errorf("two hooks run for slot %d", l.Slot)
					}
				}
			}
			return nil
		}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.fail(1, 3)
		w.after(time.Second)
		w.fail(1, 4) // the first hook hangs
		w.after(time.Second)
		if w.started(KindWorker) != 4 {
			t.Errorf("a hanging hook delays restarts: %d starts", w.started(KindWorker))
		}
		w.after(10 * time.Second)
		w.send(syscall.SIGTERM)
	})
	var codes []string
	for _, l := range w.launches {
		if l.Kind == KindExitHook && l.Slot == 1 {
			for _, v := range l.Env {
				if c, ok := strings.CutPrefix(v, "BROOD_EXIT_CODE="); ok {
					codes = append(codes, c)
				}
			}
		}
	}
	if !slices.Equal(codes, []string{"3", "4", "143"}) {
		t.Errorf("slot 1's hooks were told the codes %v", codes)
	}
	timedOut := 0
	for _, f := range got[HookFinished](w) {
		if f.TimedOut {
			timedOut++
		}
	}
	if timedOut < 2 {
		t.Errorf("%d hooks timed out, want the two that hung", timedOut)
	}
}

// ignoreAllBut makes fake processes survive every signal but one.
func ignoreAllBut(w *world, fatal syscall.Signal) func(Ref, syscall.Signal) {
	return func(ref Ref, sig syscall.Signal) {
		if sig == fatal {
			w.exit(ref, reaper.Status{Signal: sig})
		}
	}
}
