package fanout

import "time"

// delay is how long to wait before restart number attempt (0 is the first):
// uniform between nothing and an exponentially growing bound ("full jitter"),
// so that workers which died together do not come back together. random
// returns a number in [0, 1).
func (b Backoff) delay(attempt int, random func() float64) time.Duration {
	bound := b.Max
	// Beyond 62 doublings any delay has overflown.
	if attempt < 62 {
		if d := b.Min << attempt; d > 0 && d < b.Max && d>>attempt == b.Min {
			bound = d
		}
	}
	return time.Duration(random() * float64(bound))
}

// failures are the instants of a slot's failures, oldest first.
type failures []time.Time

// add notes a failure and reports whether the slot has used up its budget. Only
// those within the window before now are kept.
func (f *failures) add(now time.Time, budget CrashBudget) (exhausted bool) {
	kept := (*f)[:0]
	for _, at := range *f {
		if now.Sub(at) < budget.Window {
			kept = append(kept, at)
		}
	}
	*f = append(kept, now)
	return len(*f) > budget.Failures
}
