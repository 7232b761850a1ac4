package notify

import "time"

// A slot may say that much: it is far more than any worker has to say, and bounds
// what a flood costs.
const (
	burst = 100
	every = 10 * time.Millisecond
)

// pace lets a burst through and then one message every so often. Its zero
// value is ready.
type pace struct {
	full time.Time // when all of a burst may be used again
}

// next is how long to wait before the next message is taken.
func (p *pace) next(now time.Time) time.Duration {
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(every)
	return max(0, p.full.Sub(now)-burst*every)
}
