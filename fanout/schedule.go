package fanout

import "time"

// exitReserve is kept at the end of the budget for removing files, writing
// the last lines and leaving.
const exitReserve = 100 * time.Millisecond

// maxSweep bounds the share of the stragglers.
const maxSweep = time.Second

// Schedule is the stop budget cut into its parts. The parts add up to Budget
// unless they do not fit, which Fits reports; then Grace is 0.
type Schedule struct {
	Budget time.Duration // from the stop request to brood's own exit
	Drain  time.Duration // workers still serve, readiness is off
	Grace  time.Duration // from the stop signal to SIGKILL
	Sweep  time.Duration // for stragglers
	Finish time.Duration // for the finish hook; 0 without one
	// Cut says that Drain is less than was asked for: workers get half of what
	// there is, since without any grace they would never hear of the stop.
	Cut bool
}

// NewSchedule divides budget: the sweep gets a tenth of it and at most one
// second, the finish hook its timeout, 100 ms are kept for leaving, and the
// workers' grace is the rest. finish is 0 when there is no hook. A drain that
// leaves no grace is cut to half of what there is.
func NewSchedule(budget, drain, finish time.Duration) Schedule {
	s := Schedule{
		Budget: budget,
		Drain:  drain,
		Sweep:  min(maxSweep, budget/10),
		Finish: finish,
	}
	room := max(0, budget-s.Sweep-finish-exitReserve)
	if drain > 0 && drain >= room {
		s.Drain, s.Cut = room/2, true
	}
	s.Grace = room - s.Drain
	return s
}

// Fits reports whether the parts leave the workers any time at all.
func (s Schedule) Fits() bool {
	return !s.Cut && s.Drain+s.Grace+s.Sweep+s.Finish+exitReserve <= s.Budget && s.Grace > 0
}

// deadlines are the instants at which the phases of one stop end at the
// latest. What a phase leaves unused goes to the next: only the ends are
// fixed, the beginnings are whenever the phase before was over.
type deadlines struct {
	drain, grace, sweep, finish time.Time
}

// from lays the schedule out on the clock for a stop requested at start.
func (s Schedule) from(start time.Time) deadlines {
	d := s.afterNaturalEnd(start)
	d.grace = latest(start, d.sweep.Add(-s.Sweep))
	d.drain = earliest(start.Add(s.Drain), d.grace)
	return d
}

// afterNaturalEnd lays out what is left when the workers ended by themselves:
// the sweep may use all but the hook's share.
func (s Schedule) afterNaturalEnd(now time.Time) deadlines {
	end := latest(now, now.Add(s.Budget-exitReserve))
	return deadlines{drain: now, grace: now, sweep: latest(now, end.Add(-s.Finish)), finish: end}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
