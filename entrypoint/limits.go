package entrypoint

import (
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
)

// How the container's limits are watched. The kernel tells nobody of a change,
// so they are read: once in a while, and often once they have changed, until
// they have stood still. A change is acted on within 10 s, at a wake-up every
// 4 s.
const (
	limitsPeriod = 4 * time.Second
	limitsStand  = 5 * time.Second
	limitsOften  = time.Second
)

// settling waits for a number to stand still.
type settling struct {
	known int // what was last told
	seen  int
	since time.Time
}

// see takes in a reading. It returns whether the number is to be told, and when
// to read again.
func (s *settling) see(n int, now time.Time) (tell bool, again time.Duration) {
	switch {
	case n == s.known:
		s.seen = n
		return false, limitsPeriod
	case n != s.seen:
		s.seen, s.since = n, now
		return false, limitsOften
	case now.Sub(s.since) < limitsStand:
		return false, limitsOften
	}
	s.known = n
	return true, limitsPeriod
}

// watchLimits tells the engine what the limits allow, whenever that changes.
func watchLimits(cfg *Config, host *fanout.Host, began int, stop <-chan struct{}) error {
	s := settling{known: began, seen: began}
	again := limitsPeriod
	timer := time.NewTimer(again)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-stop:
			return nil
		}
		d := cfg.countNow()
		var tell bool
		if tell, again = s.see(d.N, time.Now()); tell {
			host.Send(fanout.LimitsSeen{Count: d.N, Reason: d.Reason})
		}
		timer.Reset(again)
	}
}

// countNow is how many workers auto would be now, whatever was asked for. A
// limit that cannot be read for once is left out, as at the start.
func (c *Config) countNow() cgroup.Decision {
	limits, _ := cgroup.Read("/", nil)
	auto := *c
	auto.Processes.Value = Processes{Auto: true}
	return auto.count(limits)
}

// scale asks the engine; auto is what the limits allow now.
func (w *window) scale(to fanout.Scale, answer chan<- fanout.ScaleResult) {
	if to.Auto {
		to.N = w.cfg.countNow().N
	}
	w.host.Send(fanout.ScaleAsked{Scale: to, Answer: answer})
}
