package main

import (
	"fmt"
	"time"
)

// measureIdle watches several inits in the same seconds. tini looks around once
// a second: if it shows none of that, the counting is at fault.
func measureIdle(l *lab) ([]result, error) {
	fixed, err := l.begin(4)
	if err != nil {
		return nil, err
	}
	defer fixed.end()
	auto, err := l.begin(1, "-n", "auto")
	if err != nil {
		return nil, err
	}
	defer auto.end()
	pids := []int{fixed.pid(), auto.pid()}
	if tini := l.peer("tini"); tini.program != "" {
		r, err := l.keep(tini, 1)
		if err != nil {
			return nil, err
		}
		defer r.end()
		pids = append(pids, r.pid())
	}
	if err := l.sleep(3 * time.Second); err != nil { // the workers have become ready by then
		return nil, err
	}
	woken, err := l.wakeups(time.Duration(l.size.idle)*time.Second, pids...)
	if err != nil {
		return nil, err
	}
	a := func(n int) string {
		return fmt.Sprintf("%.1f (%d in %d s)", float64(n)/float64(l.size.idle), n, l.size.idle)
	}
	peer := "tini is missing"
	if len(pids) > 2 {
		peer = "tini " + a(woken[2])
	}
	return []result{
		{brood: a(woken[0]), peer: peer, verdict: verdict(woken[0] == 0)},
		{what: "the same, `-n auto`", bar: "<= 0.5", brood: a(woken[1]), verdict: verdict(2*woken[1] <= l.size.idle)},
	}, nil
}

// wakeups counts for each process how often its threads were switched in during
// some time: a thread that wakes up to find nothing to do is switched in too.
func (l *lab) wakeups(during time.Duration, pids ...int) ([]int, error) {
	var before []map[string]int
	for _, pid := range pids {
		threads, err := switches(pid)
		if err != nil {
			return nil, err
		}
		before = append(before, threads)
	}
	if err := l.sleep(during); err != nil {
		return nil, err
	}
	woken := make([]int, len(pids))
	for i, pid := range pids {
		after, err := switches(pid)
		if err != nil {
			return nil, err
		}
		for thread, n := range after {
			woken[i] += n - before[i][thread]
		}
		for thread := range before[i] {
			if _, ok := after[thread]; !ok {
				woken[i]++ // it has woken up to end
			}
		}
	}
	return woken, nil
}

func (l *lab) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}
