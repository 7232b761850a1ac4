package fanout

import "time"

// ReplaceCause is why a worker's process is replaced although it runs.
type ReplaceCause string

// The causes.
const (
	CauseReload ReplaceCause = "reload"
	CauseAge    ReplaceCause = "max-age"
	CauseMemory ReplaceCause = "max-rss"
	CauseStuck  ReplaceCause = "stuck"
)

// Disruption is the budget that all replacements share. It limits the taking
// down of ready workers: one that is not ready may always be replaced.
type Disruption struct {
	// MaxUnavailable is how many of the wanted workers may be down, or not
	// ready, because of a replacement.
	MaxUnavailable int
	// MaxSurge is how many successors may start beside the workers that they
	// replace. A slot that may surge is replaced in no other way.
	MaxSurge int
}

// step is how a slot is replaced now.
type step string

const (
	stepWait    step = ""         // the budget is used up
	stepFree    step = "free"     // its worker is not ready: nothing is lost
	stepInPlace step = "in-place" // its worker ends, then the next one starts
	stepSurge   step = "surge"    // the next one starts, then its worker ends
)

// moment is what the budget is weighed against.
type moment struct {
	wanted, ready int
	underway      int // replacements whose new process is not ready yet
	surging       int // those of them that run beside their predecessors
}

// next decides how a slot may be replaced. The leader's slot never surges,
// because two processes would lead; when nobody may be unavailable, it alone is
// replaced in place, once all others are ready.
func (d Disruption) next(m moment, ready, leads bool, cause ReplaceCause) step {
	most := max(1, d.MaxUnavailable+d.MaxSurge)
	surges := d.MaxSurge > 0 && !leads && cause != CauseStuck
	unavailable := d.MaxUnavailable
	if leads || cause == CauseStuck {
		unavailable = max(1, unavailable)
	}
	switch {
	case m.underway >= most:
		return stepWait
	case !ready:
		return stepFree
	case surges && m.surging < d.MaxSurge:
		return stepSurge
	case surges:
		return stepWait
	case m.ready-1 >= m.wanted-unavailable:
		return stepInPlace
	}
	return stepWait
}

// makeDue says that a slot's process is to be replaced as soon as the budget
// allows it.
//
// A reload that has yet to come to the slot is not forgotten for its age or size,
// which its turn serves as well; a stuck worker cannot wait for that.
func (e *Engine) makeDue(s *slot, cause ReplaceCause) {
	switch {
	case s.finished || s.closing:
		return
	case s.due == CauseStuck:
		s.reloadToo = s.reloadToo || cause == CauseReload
		return
	case s.due == CauseReload && cause != CauseStuck:
		return
	case s.due == "":
		e.due++
	}
	s.reloadToo = s.due == CauseReload
	s.due = cause
	e.touch(s)
}

func (e *Engine) clearDue(s *slot) {
	if s.due != "" {
		e.due--
		s.due, s.reloadToo = "", false
		e.touch(s)
	}
}

// clearOwnDue forgets what was wrong with a slot's process itself: it is well
// again, or gone. A reload wants another one all the same.
func (e *Engine) clearOwnDue(s *slot) {
	switch {
	case s.due == CauseReload:
	case s.reloadToo:
		s.due, s.reloadToo = CauseReload, false
		e.touch(s)
	default:
		e.clearDue(s)
	}
}

// replaceDue replaces as many processes as the budget allows: those that are
// not ready first, and the leader last.
func (e *Engine) replaceDue() {
	if e.due == 0 {
		return
	}
	now := e.moment()
	for _, ready := range []bool{false, true} {
		var last *slot
		for s := range e.slots.all() {
			switch {
			case s.due == "" || s.underway != "" || s.closing || (s.state == SlotReady) != ready:
			case s.worker != nil && s.worker.leader:
				last = s
			case e.replace(s, now):
				now = e.moment() // not for each slot: there may be thousands
			}
		}
		if last != nil && now.underway == 0 && e.replace(last, now) {
			now = e.moment()
		}
	}
}

func (e *Engine) moment() moment {
	m := moment{wanted: e.wanted, ready: e.ready}
	for s := range e.slots.all() {
		if s.underway != "" {
			m.underway++
		}
		if s.finished && !s.closing {
			m.wanted-- // it is not down: its work is done
		}
		if s.successor != nil {
			m.surging++
		}
	}
	return m
}

// replace replaces a slot's process if the budget allows it now, and reports
// whether it does.
func (e *Engine) replace(s *slot, now moment) bool {
	w := s.worker
	how := e.plan.Disruption.next(now, s.state == SlotReady, w != nil && w.leader, s.due)
	switch {
	case how == stepWait, s.leaving != nil, s.successor != nil, w != nil && w.sent != 0, w != nil && w.pid == 0:
		return false // or something of it ends, or begins, anyway
	case s.due == CauseStuck:
		e.endStuck(w)
	case how == stepSurge:
		s.underway = s.due
		e.clearDue(s)
		s.successor = e.next(s, false)
		s.successor.beside = true
		e.touch(s)
		e.system.Start(e.launch(s.successor))
	case w == nil: // it waits for its backoff, which is over now
		s.attempt, s.restartDue = 0, true
		e.settle(s)
	default:
		s.underway = s.due
		e.clearDue(s)
		w.replaced = true
		e.tellToEnd(w, string(s.underway))
	}
	return true
}

// takeOver makes a ready successor the slot's worker; its predecessor is told
// to end.
func (e *Engine) takeOver(s *slot) {
	e.clearOwnDue(s) // it was the predecessor's
	s.leaving, s.worker, s.successor = s.worker, s.successor, nil
	s.leaving.replaced = true
	if s.state != SlotReady { // its predecessor was on its way out
		e.become(s, SlotStarting)
		e.become(s, SlotReady)
	}
	e.system.WritePIDFile(s.worker.ref)
	e.touch(s)
	e.tellToEnd(s.leaving, "its successor is ready")
}

// promote makes the successor of a worker that has died the slot's worker,
// although it is not ready.
func (e *Engine) promote(s *slot) {
	s.worker, s.successor = s.successor, nil
	if s.worker.pid != 0 {
		e.system.WritePIDFile(s.worker.ref)
	}
	if s.state == SlotReady || !e.stopping() && s.worker.sent == 0 {
		e.become(s, SlotStarting)
	}
}

// replacementDone is told of every worker that gets ready.
func (e *Engine) replacementDone(s *slot) {
	if s.underway == "" {
		return
	}
	e.emit(SlotReplaced{s.number, s.underway})
	if s.underway == CauseReload && e.reload != nil {
		e.reload.replaced++
	}
	s.underway = ""
	e.touch(s)
}

// replacementFailed is told of every worker that ends before it was ready. A
// slot that has lost a successor keeps its worker.
func (e *Engine) replacementFailed(s *slot, why string) {
	cause := s.underway
	if cause == "" {
		return
	}
	s.underway = ""
	e.touch(s)
	e.emit(ReplacementFailed{s.number, cause, why})
	switch {
	case cause == CauseReload:
		e.endReload(s.number, why)
	case cause == CauseAge && s.worker != nil:
		e.dueByAge(s.worker, e.plan.Backoff.Max) // it stays, and gets no younger
	case cause == CauseMemory && s.worker != nil:
		s.worker.spared = time.Now().Add(e.plan.Backoff.Max)
	}
}

// recycle is told of every worker that gets ready: it draws once how old this
// incarnation may become, so that workers which started together do not end
// together.
func (e *Engine) recycle(w *worker) {
	if e.plan.MaxAge <= 0 {
		return
	}
	const earliest = 0.9
	age := time.Duration((earliest + (1-earliest)*e.random()) * float64(e.plan.MaxAge))
	w.oldAt = w.began.Add(age)
	e.dueByAge(w, time.Until(w.oldAt))
}

func (e *Engine) dueByAge(w *worker, after time.Duration) {
	e.timers.after(after, func() {
		if s, now := e.incarnation(w.ref); now != nil && s.worker == w {
			e.makeDue(s, CauseAge)
		}
	})
}

// recycleIfOld takes up what a reload would have served, had it come to the slot.
func (e *Engine) recycleIfOld(s *slot) {
	if w := s.worker; w != nil && !w.oldAt.IsZero() && !time.Now().Before(w.oldAt) {
		e.makeDue(s, CauseAge)
	}
}

// memoryPeriod is how often the workers' memory is looked at.
const memoryPeriod = 5 * time.Second

// watchMemory has the workers' memory looked at for as long as brood runs.
func (e *Engine) watchMemory() {
	if e.plan.MaxRSS == 0 {
		return
	}
	e.timers.after(memoryPeriod, func() {
		if e.phase != PhaseRunning {
			return
		}
		e.system.Measure(refs(e.slots.processes()))
		e.watchMemory()
	})
}

func (e *Engine) measured(in Measured) {
	for ref, rss := range in.RSS {
		s, w := e.incarnation(ref)
		if w != nil && s.worker == w && s.due == "" && rss > e.plan.MaxRSS && !time.Now().Before(w.spared) {
			e.emit(TooMuchMemory{s.number, w.pid, rss, e.plan.MaxRSS})
			e.makeDue(s, CauseMemory)
		}
	}
}
