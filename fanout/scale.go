package fanout

import "fmt"

// Scale is how many workers are wanted from now on.
type Scale struct {
	// Auto says that N is what the container's limits allow now: they are
	// followed again if the plan says so.
	Auto bool
	// N is the number, or with Relative what is added to it.
	N        int
	Relative bool
	// Least bounds a Relative one from below, beside the plan.
	Least int
}

// ScaleAsked asks for another number of workers. Answer, which may be nil, must
// have room for the one result.
type ScaleAsked struct {
	Scale
	Answer chan<- ScaleResult
}

// ScaleResult says how many workers are wanted, or why that has not changed.
type ScaleResult struct {
	From, To int
	Err      error
}

// LimitsSeen says how many workers the container's limits allow as of now.
type LimitsSeen struct {
	Count  int
	Reason string // such as "source=cgroup quota=2.5"
}

// apply is the number that a Scale makes of the wanted one. Beyond the bounds
// it is an error that names them.
func (x Scale) apply(wanted, least, most int) (int, error) {
	n := x.N
	switch {
	case x.Auto:
		return n, nil
	case x.Relative:
		n += wanted
		least = max(least, x.Least)
	}
	switch {
	case n < least:
		return wanted, fmt.Errorf("cannot scale to %d: want at least %d", n, least)
	case most > 0 && n > most:
		return wanted, fmt.Errorf("cannot scale to %d: want at most %d (--max-processes)", n, most)
	}
	return n, nil
}

func (e *Engine) scaleAsked(in ScaleAsked) {
	r := ScaleResult{From: e.wanted, To: e.wanted}
	if e.phase != PhaseRunning {
		r.Err = fmt.Errorf("cannot scale: %w", e.notRunning())
	} else {
		r.To, r.Err = in.apply(e.wanted, e.plan.MinCount, e.plan.MaxCount)
	}
	if r.Err == nil {
		e.following = e.plan.FollowLimits && in.Auto
		if in.Auto {
			e.limit = in.N
		}
		e.resize(r.To, "asked")
	} else {
		e.emit(ScaleRefused{r.Err})
	}
	if in.Answer != nil {
		select {
		case in.Answer <- r:
		default:
		}
	}
}

// limitsSeen takes in what the limits allow. It counts at once, or after the
// reload that is under way, unless somebody has asked for another number.
func (e *Engine) limitsSeen(in LimitsSeen) {
	if in.Count != e.limit {
		e.emit(LimitChanged{e.limit, in.Count, in.Reason, e.following})
	}
	e.limit = in.Count
	e.followLimit()
}

func (e *Engine) followLimit() {
	if e.following && e.phase == PhaseRunning && e.reload == nil {
		e.resize(e.limit, "limits")
	}
}

func (e *Engine) resize(to int, cause string) {
	if to == e.wanted {
		return
	}
	e.emit(Scaled{e.wanted, to, cause})
	e.wanted = to
	e.dirty = true
}

// rebalance makes what is there what is wanted, as far as the disruption budget
// allows for now: it is called after everything that happens.
func (e *Engine) rebalance() {
	e.openMissing()
	e.closeSurplus()
	e.replaceDue()
	e.finishReload()
}

// openMissing opens the lowest free numbers. One that is about to close is
// taken back first: its process ends, and the next one starts.
func (e *Engine) openMissing() {
	for n := e.wanted - e.slots.open; n > 0; n-- {
		if s := e.slots.retired(); s != nil {
			e.takeBack(s)
			continue
		}
		e.start(e.slots.openLowest())
	}
}

// takeBack keeps a slot that was about to close.
func (e *Engine) takeBack(s *slot) {
	e.slots.keep(s)
	for _, w := range s.processes() {
		w.replaced = w.replaced || w.sent != 0 // it does not end by itself
	}
	if s.worker == nil {
		s.restartDue = true
		e.settle(s)
	}
}

// closeSurplus closes the highest numbers: at once where no worker is ready,
// and otherwise as many at a time as may be unavailable. One that is ready stays
// while too few of those that are wanted are: it serves in their place.
func (e *Engine) closeSurplus() {
	surplus := e.slots.open - e.wanted
	if surplus <= 0 {
		return
	}
	unavailable := max(1, e.plan.Disruption.MaxUnavailable)
	room := unavailable - e.slots.retiredReady()
	least := e.moment().wanted - unavailable
	for _, s := range e.slots.highest(surplus) {
		if s.state == SlotReady {
			if room <= 0 || e.ready-1 < least {
				continue
			}
			room--
		}
		e.close(s)
	}
}

// close ends a slot; its number is free again once its processes are gone.
func (e *Engine) close(s *slot) {
	e.clearDue(s)
	e.slots.retire(s)
	s.wasReady, s.restartDue, s.underway = s.state == SlotReady, false, ""
	for _, w := range s.processes() {
		e.tellToEnd(w, "scale")
	}
	e.closeIfEmpty(s)
}

func (e *Engine) closeIfEmpty(s *slot) {
	if s.empty() && (len(s.leftovers) == 0 || e.plan.Leftovers == LeftoversKeep) {
		e.become(s, "")
		e.slots.close(s)
		e.system.RetireSlot(s.number)
		e.dirty = true
	}
}
