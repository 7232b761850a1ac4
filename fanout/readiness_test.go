package fanout

import (
	"syscall"
	"testing"
	"time"
)

func TestWhenABroodServes(t *testing.T) {
	for _, test := range []struct {
		name     string
		snapshot Snapshot
		readyMin int
		want     bool
	}{
		{"all are ready", Snapshot{Phase: PhaseRunning, Wanted: 4, Ready: 4, AllBeen: true}, 0, true},
		{"one is away", Snapshot{Phase: PhaseRunning, Wanted: 4, Ready: 3, AllBeen: true}, 0, true},
		{"two are away", Snapshot{Phase: PhaseRunning, Wanted: 4, Ready: 2, AllBeen: true}, 0, false},
		{"two may be away", Snapshot{Phase: PhaseRunning, Wanted: 4, Ready: 2, AllBeen: true}, 2, true},
		{"not all have been ready yet", Snapshot{Phase: PhaseRunning, Wanted: 4, Ready: 3}, 0, false},
		{"the only one is away", Snapshot{Phase: PhaseRunning, Wanted: 1, AllBeen: true}, 0, false},
		{"none is wanted", Snapshot{Phase: PhaseRunning, AllBeen: true}, 0, false},
		{"draining", Snapshot{Phase: PhaseDraining, Wanted: 1, Ready: 1, AllBeen: true}, 0, false},
		{"preparing", Snapshot{Phase: PhasePreparing, Wanted: 1}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.snapshot.Serves(test.readyMin, 1); (err == nil) != test.want {
				t.Errorf("serves: %v", err)
			}
		})
	}
}

func TestASnapshotShowsEverySlotAsItIs(t *testing.T) {
	play(t, basePlan(2), nil, func(w *world) {
		w.after(2 * time.Second)
		s := w.engine.Snapshot()
		if s.Ready != 2 || s.Wanted != 2 || !s.AllBeen || s.Phase != PhaseRunning {
			t.Fatalf("snapshot: %+v", s)
		}
		w.fail(2, 3)
		w.settle()
		s = w.engine.Snapshot()
		two := s.Slots[1]
		if s.Ready != 1 || two.State != SlotBackoff || two.PID != 0 || two.Last == nil || two.Last.Code != 3 {
			t.Errorf("after a failure: %+v, slot 2 %+v", s, two)
		}
		w.after(time.Second)
		if two = w.engine.Snapshot().Slots[1]; two.Incarnation != 2 || two.PID == 0 {
			t.Errorf("after the restart: %+v", two)
		}
		w.send(syscall.SIGTERM)
		if s = w.engine.Snapshot(); !s.Stopping() || s.StopBy.IsZero() {
			t.Errorf("while stopping: %+v", s)
		}
	})
}

// All have been ready, for no time at all: the one that has to be reloaded ends
// as soon as the other one allows it.
func TestThatAllHaveBeenReadyIsSeenHoweverShortItWas(t *testing.T) {
	p := reloading(basePlan(2))
	p.Ready, p.ReadyTimeout = Check{Notify: true}, time.Hour
	play(t, p, nil, func(w *world) {
		w.in <- Notified{Ref: w.worker(2), Ready: true}
		w.settle()
		w.send(syscall.SIGHUP)
		for range 10 { // slot 1, which is not ready, goes first
			w.after(time.Second)
		}
		w.in <- Notified{Ref: w.worker(1), Ready: true}
		w.settle()
		if err := w.engine.Snapshot().Serves(0, 1); err != nil {
			t.Error(err)
		}
		if n := w.engine.Snapshot().Ready; n != 1 {
			t.Errorf("%d are ready", n)
		}
		w.send(syscall.SIGTERM)
	})
}
