package main

import (
	"fmt"
	"time"
)

// measureIdle counts context switches: a thread that wakes up to find nothing
// to do has one.
func measureIdle(l *lab) ([]result, error) {
	r, err := l.begin(4)
	if err != nil {
		return nil, err
	}
	defer r.end()
	if err := l.sleep(3 * time.Second); err != nil { // the workers have become ready by then
		return nil, err
	}
	before, err := switches(r.pid())
	if err != nil {
		return nil, err
	}
	if err := l.sleep(time.Duration(l.size.idle) * time.Second); err != nil {
		return nil, err
	}
	after, err := switches(r.pid())
	if err != nil {
		return nil, err
	}
	return []result{{
		brood:   fmt.Sprintf("%.1f (%d in %d s)", float64(after-before)/float64(l.size.idle), after-before, l.size.idle),
		verdict: verdict(after == before),
	}}, nil
}

func switches(pid int) (int, error) {
	voluntary, err := statusField(pid, "voluntary_ctxt_switches")
	if err != nil {
		return 0, err
	}
	forced, err := statusField(pid, "nonvoluntary_ctxt_switches")
	return voluntary + forced, err
}

func (l *lab) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}
