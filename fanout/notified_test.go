package fanout

import (
	"syscall"
	"testing"
	"time"
)

// asksFor is a worker that does not end by SIGTERM but asks for more time, again
// and again.
func asksFor(w *world, by, every time.Duration, times int) func(Ref, syscall.Signal) {
	var ask func(ref Ref, left int)
	ask = func(ref Ref, left int) {
		if left > 0 && w.alive[ref] != 0 {
			w.in <- Notified{Ref: ref, Extend: by}
			w.later(every, func() { ask(ref, left-1) })
		}
	}
	return func(ref Ref, sig syscall.Signal) {
		if sig == syscall.SIGTERM {
			ask(ref, times)
		}
	}
}

// A grace of 8 s, of a budget of 9 s.
func TestAWorkerThatIsToldToEndMayAskForMoreTime(t *testing.T) {
	for name, test := range map[string]struct {
		by, every time.Duration
		times     int
		want      time.Duration // until SIGKILL
	}{
		"not at all":                    {0, time.Second, 0, 8 * time.Second},
		"less than it has":              {time.Second, time.Second, 1, 8 * time.Second},
		"once":                          {8500 * time.Millisecond, time.Second, 1, 8500 * time.Millisecond},
		"no more than a budget at once": {time.Hour, time.Second, 1, 9 * time.Second},
		"again and again":               {3 * time.Second, 2 * time.Second, 10, 21 * time.Second},
		"not for ever":                  {time.Hour, time.Second, 1000, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := play(t, reloading(basePlan(2)), func(w *world) { w.onSignal = asksFor(w, test.by, test.every, test.times) }, func(w *world) {
				w.after(2 * time.Second)
				w.send(syscall.SIGHUP)
				w.after(10 * time.Minute)
				w.send(syscall.SIGTERM)
				w.after(time.Minute)
			})
			told := got[WorkerTold](w)
			if told[0].Signal != syscall.SIGTERM || told[1].Signal != syscall.SIGKILL || told[0].Slot != told[1].Slot {
				t.Fatalf("%+v", told)
			}
			if x := got[WorkerExited](w)[0]; x.StopTook != test.want || x.Reason != ReasonKilled {
				t.Errorf("it was killed after %s, as %s; want %s", x.StopTook, x.Reason, test.want)
			}
			if n := len(got[WorkerExtended](w)); n > 2 {
				t.Errorf("the log is told %d times", n)
			}
		})
	}
}

// The budget is brood's promise to those who stop it.
func TestNoWorkerExtendsTheStopOfBrood(t *testing.T) {
	for name, before := range map[string]func(*world){
		"asked for in the stop":    func(*world) {},
		"asked for just before":    func(w *world) { w.send(syscall.SIGHUP); w.after(time.Second) },
		"asked for again, in both": func(w *world) { w.send(syscall.SIGHUP); w.after(5 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			stopped := time.Duration(0)
			_, o, took := play(t, reloading(basePlan(2)), func(w *world) { w.onSignal = asksFor(w, time.Hour, time.Second, 100) }, func(w *world) {
				began := time.Now()
				w.after(2 * time.Second)
				before(w)
				stopped = time.Since(began)
				w.send(syscall.SIGTERM)
				w.after(time.Minute)
			})
			if took-stopped > 9*time.Second || o.Code != 137 {
				t.Errorf("the stop took %s, code %d", took-stopped, o.Code)
			}
		})
	}
}

func TestAStuckWorkerIsGivenNoMoreTime(t *testing.T) {
	p := basePlan(1)
	p.Watchdog = 5 * time.Second
	w, _, _ := play(t, p, func(w *world) {
		w.onSignal = func(ref Ref, sig syscall.Signal) {
			if sig == syscall.SIGABRT {
				w.in <- Notified{Ref: ref, Extend: time.Hour}
			}
		}
	}, func(w *world) {
		w.after(30 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if x := got[WorkerExited](w)[0]; x.StopTook != abortGrace || x.Reason != ReasonStuck {
		t.Errorf("%+v", x)
	}
}

func TestAWorkerThatReloadsItselfStaysReady(t *testing.T) {
	play(t, basePlan(1), nil, func(w *world) {
		looks := func(want bool) {
			t.Helper()
			w.settle()
			if v := w.engine.Snapshot().Slots[0]; v.Reloading != want {
				t.Errorf("%+v, want reloading: %v", v, want)
			}
		}
		w.in <- Notified{Ref: w.worker(1), Reloading: true}
		looks(false) // it starts
		w.after(2 * time.Second)
		w.in <- Notified{Ref: w.worker(1), Reloading: true}
		looks(true)
		if s := w.engine.Snapshot(); s.Ready != 1 {
			t.Errorf("%d are ready", s.Ready)
		}
		w.in <- Notified{Ref: w.worker(1), Ready: true}
		looks(false)
		w.in <- Notified{Ref: w.worker(1), Reloading: true}
		w.in <- Notified{Ref: w.worker(1), Stopping: true}
		looks(false)
		w.send(syscall.SIGTERM)
	})
}
