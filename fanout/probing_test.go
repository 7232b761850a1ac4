package fanout

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/reaper"
)

type anyProber struct{}

func (anyProber) Check(context.Context, expand.Values) error { return nil }

func probing(n int) Plan {
	p := basePlan(n)
	p.Ready = Check{Prober: anyProber{}}
	p.ReadyTimeout = 10 * time.Second
	return p
}

func TestAWorkerIsReadyWhenItsProbeSaysSo(t *testing.T) {
	began := time.Now()
	w, _, _ := play(t, probing(2), func(w *world) {
		began = time.Now()
		w.onProbe = func(ref Ref) (error, bool) {
			if time.Since(began) < 3*time.Second {
				return errNoAnswer, true
			}
			return nil, true
		}
	}, func(w *world) {
		w.after(2 * time.Second)
		if n := len(got[WorkerReady](w)); n != 0 {
			t.Errorf("%d are ready", n)
		}
		w.after(3 * time.Second)
		if n := len(got[WorkerReady](w)); n != 2 {
			t.Errorf("%d are ready", n)
		}
		w.send(syscall.SIGTERM)
	})
	for _, r := range got[WorkerReady](w) {
		if r.After < 3*time.Second || r.After > 4*time.Second {
			t.Errorf("ready after %s", r.After)
		}
	}
}

func TestAWorkerThatIsNotReadyInTimeHasFailed(t *testing.T) {
	w, o, _ := play(t, probing(1), func(w *world) {
		w.onProbe = func(Ref) (error, bool) { return errNoAnswer, true }
	}, func(w *world) {
		w.after(11 * time.Second)
		x := got[WorkerExited](w)
		if len(x) != 1 || x[0].Reason != ReasonUnready {
			t.Errorf("%+v", x)
		}
		w.after(time.Hour)
	})
	if o.Reason != ReasonGaveUp {
		t.Errorf("brood ended so: %+v", o)
	}
	if u := got[WorkerUnready](w); len(u) == 0 || !errors.Is(u[0].Err, errNoAnswer) {
		t.Errorf("%+v", u)
	}
}

func TestAProbeThatHangsIsAskedAgain(t *testing.T) {
	asked := 0
	w, _, _ := play(t, probing(1), func(w *world) {
		w.onProbe = func(Ref) (error, bool) { asked++; return nil, asked > 1 }
	}, func(w *world) {
		w.after(8 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if n := len(got[WorkerReady](w)); n != 1 || asked != 2 {
		t.Errorf("ready %d times after %d probes", n, asked)
	}
}

func TestAProbeIsAProcessOfItsOwn(t *testing.T) {
	word, err := expand.Compile("check-{slot}")
	if err != nil {
		t.Fatal(err)
	}
	p := basePlan(1)
	p.Ready, p.ReadyTimeout = Check{Command: []expand.Template{word}}, time.Minute
	codes := []int{1, 1, 0}
	w, _, _ := play(t, p, func(w *world) {
		w.onStart = func(l Launch) Input {
			if l.Kind != KindProbe {
				return nil
			}
			if l.Args[0] != "check-1" {
				t.Errorf("it runs %q", l.Args)
			}
			w.begin(l.Ref)
			w.exit(l.Ref, reaper.Status{Code: codes[0]})
			codes = codes[1:]
			return Asked{make(chan struct{})}
		}
	}, func(w *world) {
		w.after(2 * time.Second)
		w.send(syscall.SIGTERM)
	})
	if n := len(got[WorkerReady](w)); n != 1 || len(codes) != 0 {
		t.Errorf("ready %d times, %d probes too few", n, len(codes))
	}
}

func TestAProbesProcessThatHangsIsKilled(t *testing.T) {
	word, err := expand.Compile("hang")
	if err != nil {
		t.Fatal(err)
	}
	p := basePlan(1)
	p.Ready, p.ReadyTimeout = Check{Command: []expand.Template{word}}, 30*time.Second
	w, _, _ := play(t, p, nil, func(w *world) {
		w.after(12 * time.Second)
		w.send(syscall.SIGTERM)
	})
	killed := 0
	for _, ref := range w.sent(syscall.SIGKILL) {
		if ref.Kind == KindProbe {
			killed++
		}
	}
	if killed != 3 { // two by time, one by the stop
		t.Errorf("%d were killed", killed)
	}
}

func TestAWorkerIsReadyWhenItSaysSo(t *testing.T) {
	p := basePlan(2)
	p.Ready, p.ReadyTimeout = Check{Notify: true}, 5*time.Second
	status := "loading"
	w, _, _ := play(t, p, nil, func(w *world) {
		w.after(4 * time.Second)
		w.in <- Notified{Ref: w.worker(1), Ready: true}
		w.in <- Notified{Ref: w.worker(2), Status: &status, Extend: 10 * time.Second}
		w.after(8 * time.Second)
		if n := len(got[WorkerReady](w)); n != 1 {
			t.Errorf("%d are ready", n)
		}
		if v := w.engine.Snapshot().Slots[1]; v.Status != status {
			t.Errorf("the status is %q", v.Status)
		}
		w.after(10 * time.Second)
		w.send(syscall.SIGTERM)
	})
	u := got[WorkerUnready](w)
	if len(u) == 0 || u[0].Slot != 2 || u[0].After < 14*time.Second {
		t.Errorf("%+v", u)
	}
}

func TestAWorkerThatStopsAnsweringIsAborted(t *testing.T) {
	p := basePlan(2)
	p.Live = Check{Prober: anyProber{}}
	hangs := false
	w, _, _ := play(t, p, func(w *world) {
		w.onProbe = func(ref Ref) (error, bool) {
			if hangs && ref == (Ref{KindWorker, 2, 1}) {
				return errNoAnswer, true
			}
			return nil, true
		}
		w.onSignal = func(ref Ref, sig syscall.Signal) {
			if sig != syscall.SIGABRT {
				w.exit(ref, reaper.Status{Signal: sig})
			}
		}
	}, func(w *world) {
		w.after(time.Minute)
		hangs = true
		w.after(time.Minute)
		w.send(syscall.SIGTERM)
	})
	x := got[WorkerExited](w)
	if x[0].Slot != 2 || x[0].Reason != ReasonStuck || x[0].Signal != syscall.SIGKILL {
		t.Errorf("%+v", x[0])
	}
	if refs := w.sent(syscall.SIGABRT); len(refs) != 1 {
		t.Errorf("aborted: %v", refs)
	}
}

// What makes all of them hang at once, a database perhaps, must not have all of
// them killed at once.
func TestStuckWorkersAreEndedOneAfterAnother(t *testing.T) {
	p := basePlan(4)
	p.Live = Check{Prober: anyProber{}}
	w, _, _ := play(t, p, func(w *world) {
		w.onProbe = func(Ref) (error, bool) { return errNoAnswer, true }
		w.onSignal = func(ref Ref, sig syscall.Signal) { w.exit(ref, reaper.Status{Signal: sig}) }
	}, func(w *world) {
		w.after(31100 * time.Millisecond)
		if n := len(w.sent(syscall.SIGABRT)); n != 1 {
			t.Errorf("%d were aborted at once", n)
		}
		w.after(5 * time.Minute)
		w.send(syscall.SIGTERM)
	})
	if n := len(w.sent(syscall.SIGABRT)); n < 4 {
		t.Errorf("%d were aborted in all", n)
	}
}

func TestAWatchdogWantsToBeFed(t *testing.T) {
	p := basePlan(2)
	p.Watchdog = 30 * time.Second
	w, _, _ := play(t, p, nil, func(w *world) {
		for range 10 {
			w.after(20 * time.Second)
			w.in <- Notified{Ref: w.worker(1), Ping: true}
		}
		w.send(syscall.SIGTERM)
	})
	for _, x := range got[WorkerExited](w) {
		if x.Slot == 1 && x.Reason != ReasonStopped {
			t.Errorf("slot 1 ended so: %s", x.Reason)
		}
	}
	stuck := 0
	for _, s := range got[WorkerStuck](w) {
		if s.Slot == 2 {
			stuck++
		}
	}
	if stuck < 3 {
		t.Errorf("slot 2 was stuck %d times", stuck)
	}
	if usec := getenv(w.launches[0].Env, "WATCHDOG_USEC"); usec != "30000000" {
		t.Errorf("WATCHDOG_USEC=%s", usec)
	}
}
