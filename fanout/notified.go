package fanout

import (
	"errors"
	"time"
)

// errTriggered is what WATCHDOG=trigger says.
var errTriggered = errors.New("it says so itself (WATCHDOG=trigger)")

// notified takes in what a worker says by sd_notify(3).
func (e *Engine) notified(in Notified) {
	s, w := e.incarnation(in.Ref)
	if w == nil {
		return
	}
	if in.Status != nil && *in.Status != w.status {
		w.status = *in.Status
		e.touch(s)
		e.emit(WorkerStatus{s.number, w.pid, w.status})
	}
	if in.Extend > 0 {
		e.extend(w, in.Extend)
	}
	if in.Watchdog > 0 && e.plan.Watchdog > 0 {
		w.watchdog = in.Watchdog
	}
	if in.Ping {
		w.pinged = time.Now()
	}
	if in.Reloading || in.Ready {
		w.reloading = in.Reloading && !w.readyAt.IsZero()
		e.touch(s)
	}
	switch {
	case in.Trigger && !w.readyAt.IsZero() && e.plan.Watchdog > 0:
		e.stuck(w, errTriggered)
	case in.Ready && e.plan.Ready.Notify:
		e.workerReady(w)
	case in.Stopping && s.worker == w && s.state == SlotReady && !e.stopping():
		e.become(s, SlotStopping)
	}
}

// mostExtensions bounds how long a worker that was told to end can put that off,
// in stop budgets: whoever waits for a reload waits for it.
const mostExtensions = 10

// extend gives a worker that asks for it more time: to get ready or, when it was
// told to end while brood runs, to end. One that asks has to ask again within a
// stop budget. A stop of brood itself gives no more than its budget, whatever
// workers say, and one that is stuck is not believed.
func (e *Engine) extend(w *worker, by time.Duration) {
	now := time.Now()
	switch {
	case e.stopping():
	case w.sent == 0:
		if until := now.Add(by); w.readyAt.IsZero() && !w.readyBy.IsZero() && until.After(w.readyBy) {
			w.readyBy = until
		}
	case w.blame != ReasonStuck && !w.killed:
		budget := e.plan.Stop.Budget
		until := earliest(now.Add(min(by, budget)), w.sentAt.Add(mostExtensions*budget))
		if !until.After(w.endBy) {
			return
		}
		w.endBy = until
		if !w.extended { // the first of many
			w.extended = true
			e.emit(WorkerExtended{w.slot.number, w.pid, until.Sub(w.sentAt)})
		}
	}
}
