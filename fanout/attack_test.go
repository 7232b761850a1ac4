package fanout

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/reaper"
)

// These stories are of two things that happen to a slot at once.

func TestAProbeIsGivenItsOwnTimeAndNotTheRestOfThatOfAnEarlierOne(t *testing.T) {
	word, err := expand.Compile("check")
	if err != nil {
		t.Fatal(err)
	}
	p := basePlan(1)
	p.Ready, p.ReadyTimeout = Check{Command: []expand.Template{word}}, time.Minute
	w, _, _ := play(t, p, func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Kind == KindProbe { // it takes three seconds, and says yes from the third on
				code := 1
				if w.started(KindProbe) > 2 {
					code = 0
				}
				w.later(3*time.Second, func() {
					if w.alive[l.Ref] != 0 {
						w.exit(l.Ref, reaper.Status{Code: code})
					}
				})
			}
			return nil
		}
	}, func(w *world) {
		w.after(15 * time.Second)
		if n := len(got[WorkerReady](w)); n != 1 {
			t.Errorf("ready %d times", n)
		}
		w.send(syscall.SIGTERM)
	})
	if refs := w.sent(syscall.SIGKILL); len(refs) != 0 {
		t.Errorf("killed before their time: %v", refs)
	}
}

// slowSurge is a plan in which a successor takes until told to be ready.
func slowSurge() Plan {
	p := reloading(basePlan(2))
	p.Disruption = Disruption{MaxSurge: 1}
	p.Ready, p.ReadyTimeout = Check{Notify: true}, time.Minute
	return p
}

func (w *world) allReady() {
	for ref := range w.alive {
		if ref.Kind == KindWorker {
			w.in <- Notified{Ref: ref, Ready: true}
		}
	}
	w.settle()
}

func TestASuccessorIsNotBlamedForWhatItsPredecessorDid(t *testing.T) {
	for name, wrong := range map[string]func(*world, Ref){
		"stuck":   func(w *world, old Ref) { w.in <- Notified{Ref: old, Trigger: true} },
		"too fat": func(w *world, old Ref) { w.rss[old] = 101 },
	} {
		t.Run(name, func(t *testing.T) {
			p := slowSurge()
			p.Watchdog, p.MaxRSS = time.Hour, 100
			w, _, _ := play(t, p, func(w *world) {
				w.onSignal = func(ref Ref, sig syscall.Signal) {
					w.later(time.Second, func() {
						if w.alive[ref] != 0 {
							w.exit(ref, reaper.Status{Signal: sig})
						}
					})
				}
			}, func(w *world) {
				w.allReady()
				w.send(syscall.SIGHUP)
				wrong(w, Ref{KindWorker, 2, 1})
				w.after(10 * time.Second)
				w.in <- Notified{Ref: Ref{KindWorker, 2, 2}, Ready: true}
				w.after(10 * time.Second)
				w.allReady()
				w.after(10 * time.Second)
				w.send(syscall.SIGTERM)
			})
			for _, s := range w.sent(syscall.SIGABRT) {
				t.Errorf("%v was aborted", s)
			}
			for _, l := range w.launches {
				if l.Slot == 2 && l.Incarnation > 2 {
					t.Errorf("%v was started", l.Ref)
				}
			}
		})
	}
}

func TestAWorkerThatIsEndedForBeingStuckDuringAReloadCounts(t *testing.T) {
	p := reloading(basePlan(3))
	p.Ready, p.ReadyTimeout, p.Watchdog = Check{Notify: true}, time.Minute, time.Hour
	w, _, _ := play(t, p, func(w *world) {
		w.onSignal = func(ref Ref, sig syscall.Signal) { w.exit(ref, reaper.Status{Signal: sig}) }
	}, func(w *world) {
		w.allReady()
		w.send(syscall.SIGHUP) // slot 2 is on its way, slot 3 waits for its turn
		w.in <- Notified{Ref: Ref{KindWorker, 3, 1}, Trigger: true}
		for range 4 {
			w.after(time.Second)
			w.allReady()
		}
		w.send(syscall.SIGTERM)
	})
	if refs := w.sent(syscall.SIGABRT); len(refs) != 1 || refs[0].Slot != 3 {
		t.Errorf("aborted: %v", refs)
	}
	if ends := got[ReloadEnded](w); len(ends) != 1 || ends[0].Err != nil || ends[0].Replaced != 3 {
		t.Errorf("the reload ended so: %+v", ends)
	}
}

func TestASlotTakenBackInASurgeHasNotFailed(t *testing.T) {
	p := slowSurge()
	p.FailFast = true
	w, o, _ := play(t, p, func(w *world) {
		w.onSignal = func(ref Ref, sig syscall.Signal) {
			w.later(time.Duration(ref.Incarnation)*time.Second, func() { w.exit(ref, reaper.Status{Signal: sig}) })
		}
	}, func(w *world) {
		w.allReady()
		w.send(syscall.SIGHUP) // slot 2 gets a successor
		w.in <- ScaleAsked{Scale: Scale{N: 1}}
		w.settle()
		w.in <- ScaleAsked{Scale: Scale{N: 2}}
		w.after(10 * time.Second)
		w.allReady()
		if n := w.engine.Snapshot().Ready; n != 2 {
			t.Errorf("%d are ready", n)
		}
		w.send(syscall.SIGTERM)
	})
	if o.Code != 0 {
		t.Errorf("brood ended so: %+v", o)
	}
	if b := got[BackingOff](w); len(b) != 0 {
		t.Errorf("it was held against it: %+v", b)
	}
}

func TestASuccessorThatIsAloneBeforeItHasStartedGetsThePIDFile(t *testing.T) {
	p := slowSurge()
	successor := Ref{KindWorker, 2, 2}
	w, _, _ := play(t, p, func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Ref != successor {
				return nil
			}
			w.later(2*time.Second, func() { w.begin(l.Ref) }) // a slow disk
			return Asked{make(chan struct{})}
		}
	}, func(w *world) {
		w.allReady()
		w.send(syscall.SIGHUP)
		w.fail(2, 1)
		w.after(5 * time.Second)
		w.allReady()
		w.send(syscall.SIGTERM)
	})
	if !slices.Contains(w.files, successor) {
		t.Errorf("files were written for %v", w.files)
	}
}

func TestAnOldWorkerWhoseSuccessorFailedIsReplacedLater(t *testing.T) {
	p := slowSurge()
	p.MaxAge = time.Hour
	failed := false
	play(t, p, func(w *world) {
		w.onStart = func(l Launch) Input {
			if !failed && l.Ref == (Ref{KindWorker, 2, 2}) {
				failed = true
				return StartFailed{Ref: l.Ref, Err: errNoFork}
			}
			return nil
		}
	}, func(w *world) {
		w.allReady()
		w.after(time.Hour)
		w.allReady()
		w.after(10 * time.Minute)
		w.allReady()
		w.after(10 * time.Minute)
		w.allReady()
		if ref := w.worker(2); ref.Incarnation == 1 {
			t.Error("it stays for ever")
		}
		w.send(syscall.SIGTERM)
	})
}

func TestAProbeThatIsBeingStartedDoesNotOutliveTheStop(t *testing.T) {
	word, err := expand.Compile("check")
	if err != nil {
		t.Fatal(err)
	}
	p := basePlan(1)
	p.Ready, p.ReadyTimeout = Check{Command: []expand.Template{word}}, time.Minute
	w, _, took := play(t, p, func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Kind != KindProbe {
				return nil
			}
			w.later(50*time.Millisecond, func() { w.begin(l.Ref) }) // it never ends by itself
			return Asked{make(chan struct{})}
		}
	}, func(w *world) {
		w.after(40 * time.Millisecond)
		w.send(syscall.SIGTERM)
	})
	for ref := range w.alive {
		t.Errorf("%v has outlived brood", ref)
	}
	if took > 500*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}
