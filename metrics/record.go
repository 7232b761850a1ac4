package metrics

import (
	"slices"
	"time"

	"github.com/brood-init/brood/fanout"
)

// record is what is known about a slot. It never changes once it is published:
// each event makes a copy.
type record struct {
	state   fanout.SlotState
	opened  int           // how often the slot was opened
	retry   bool          // the start under way follows an end or a failed start
	backoff time.Duration // before the start that is waited for, 0 for none

	starts, restarts, startFailures uint64
	orphans                         uint64 // reaped by brood

	exits    [reasonCount]uint64
	lastCode int
	lastExit time.Time // zero before the first exit

	base usage // of the processes that have ended
	// live are the processes that have not ended, oldest first: two while a
	// successor starts before its predecessor stops.
	live []liveProcess
}

type liveProcess struct {
	*incarnation
	ready time.Time // zero until then
}

// shown is the process that gauges are about: the newest that is ready, or the
// newest.
func (r *record) shown() (p liveProcess, ok bool) {
	if len(r.live) == 0 {
		return p, false
	}
	p = r.live[len(r.live)-1]
	for _, other := range slices.Backward(r.live) {
		if !other.ready.IsZero() {
			return other, true
		}
	}
	return p, true
}

func (r *record) entered(ev fanout.SlotEntered) {
	r.state = ev.To
	if ev.From == "" {
		r.opened++
	}
	if ev.To == fanout.SlotStarting {
		r.retry = ev.From == fanout.SlotBackoff || ev.From == fanout.SlotFailed
	}
	if ev.To != fanout.SlotBackoff && ev.To != fanout.SlotFailed {
		r.backoff = 0
	}
}

func (r *record) started(p *incarnation) {
	r.starts++
	if r.retry {
		r.restarts++
		r.retry = false
	}
	r.live = append(slices.Clone(r.live), liveProcess{incarnation: p})
}

func (r *record) ready(at time.Time, number int) {
	r.live = slices.Clone(r.live)
	for i := range r.live {
		if r.live[i].number == number {
			r.live[i].ready = at
		}
	}
}

// exited moves a process's figures to the base. The process's own copy is
// frozen before, so a scrape that still holds the old record adds up to the same.
func (r *record) exited(at time.Time, ev fanout.WorkerExited) {
	r.exits[reasonIndex(ev.Reason)]++
	r.lastCode, r.lastExit = ev.ExitCode(), at
	last := final(ev.Final)
	keep := make([]liveProcess, 0, len(r.live))
	for _, p := range r.live {
		if p.number == ev.Incarnation {
			last = p.retire(last)
		} else {
			keep = append(keep, p)
		}
	}
	r.live = keep
	r.base.add(last)
}

// reasonIndex counts a reason that is not in the list, which a test rules out,
// as a failure: an exit must not get lost.
func reasonIndex(reason fanout.Reason) int {
	reasons := exitReasons()
	if i := slices.Index(reasons[:], reason); i >= 0 {
		return i
	}
	return slices.Index(reasons[:], fanout.ReasonFailed)
}
