package entrypoint

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/brood-init/brood/fanout"
)

func isClosed(c <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhoCanWaitComesAfterTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeginning(2)
		see := func(ev fanout.Event) { b.observe(time.Now(), ev) }
		see(fanout.PhaseEntered{Phase: fanout.PhaseRunning})
		if isClosed(b.first) || isClosed(b.calm) {
			t.Error("nothing has been started yet")
		}
		see(fanout.WorkerStarted{Slot: 1})
		<-time.After(calmLatest / 2)
		if !isClosed(b.first) || isClosed(b.calm) {
			t.Error("one of two has been started")
		}
		see(fanout.WorkerStartFailed{Slot: 2})
		if isClosed(b.calm) {
			t.Error("the second has had no time")
		}
		<-time.After(calmAfter)
		if !isClosed(b.calm) {
			t.Error("both have had their time")
		}
		see(fanout.WorkerStarted{Slot: 2})
		see(fanout.PhaseEntered{Phase: fanout.PhaseTerminating})
	})
}

func TestAStartThatHangsDoesNotHideTheOthers(t *testing.T) {
	for _, started := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			b := newBeginning(2)
			b.observe(time.Now(), fanout.PhaseEntered{Phase: fanout.PhaseRunning})
			for range started {
				b.observe(time.Now(), fanout.WorkerStarted{})
			}
			<-time.After(calmLatest)
			if !isClosed(b.calm) {
				t.Errorf("with %d started it is never calm", started)
			}
		})
	}
}

func TestWithoutWorkersNobodyWaitsForLong(t *testing.T) {
	for name, story := range map[string][]fanout.Event{
		"none are wanted":          {fanout.PhaseEntered{Phase: fanout.PhaseRunning}},
		"the stop came at once":    {fanout.PhaseEntered{Phase: fanout.PhaseTerminating}},
		"prepare failed":           {fanout.HookStarted{}, fanout.HookFinished{}, fanout.PhaseEntered{Phase: fanout.PhaseTerminating}},
		"none are wanted any more": {fanout.PhaseEntered{Phase: fanout.PhaseRunning}, fanout.PhaseEntered{Phase: fanout.PhaseDraining}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBeginning(0)
			for _, ev := range story {
				b.observe(time.Now(), ev)
			}
			if !isClosed(b.first) || isClosed(b.calm) {
				t.Errorf("%s: whoever can wait has not", name)
			}
			<-time.After(calmAfter)
			if !isClosed(b.calm) {
				t.Errorf("%s: it stays", name)
			}
		})
	}
}
