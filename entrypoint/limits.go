package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/timerfd"
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
	timer, err := timerfd.New()
	if err != nil {
		return fmt.Errorf("the number of workers does not follow the limits: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-stop:
		case <-ended:
		}
		_ = timer.Close() // which ends the wait below
	}()
	s := settling{known: began, seen: began}
	again := limitsPeriod
	for {
		if err := errors.Join(timer.Set(again), timer.Wait()); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("the number of workers does not follow the limits: %w", err)
		}
		d := cfg.countNow()
		var tell bool
		if tell, again = s.see(d.N, time.Now()); tell {
			host.Send(fanout.LimitsSeen{Count: d.N, Reason: d.Reason})
		}
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

// oomGroupWarning says what it means that the kernel ends all processes of the
// container when one of them runs out of memory.
const oomGroupWarning = "memory.oom.group is 1: when one process runs out of memory the kernel kills all of the container, brood too: " +
	"no worker is restarted alone, and neither the finish hook nor the termination message tells of it " +
	"(the kubelet's singleProcessOOMKill: true turns it off)"
