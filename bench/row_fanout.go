package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// raised is how long a fan-out took to run, and from the request to stop until
// all its workers had been told, and until nobody was left.
type raised struct{ up, told, gone samples }

// raise runs peers by turns, each with n workers, and lets them settle before they
// are asked to stop.
func (l *lab) raise(n, runs int, settle time.Duration, among ...peer) (all map[string]*raised, failed map[string]error) {
	all = make(map[string]*raised)
	for _, p := range among {
		all[p.name] = new(raised)
	}
	return all, byTurns(runs, among, func(p peer) error { return l.raiseOnce(all[p.name], p, n, settle) })
}

func (l *lab) raiseOnce(to *raised, p peer, n int, settle time.Duration) error {
	shared, err := l.sharedFile()
	if err != nil {
		return err
	}
	how, err := l.prepare(p, n, l.c("worker"), shared)
	if err != nil {
		return err
	}
	args := []string{shared, strconv.Itoa(n), how.pidFiles(), strconv.Itoa(int(settle.Milliseconds())), strconv.Itoa(int(p.stop))}
	out, err := l.output(l.c("raise"), append(args, how.argv...)...)
	if err != nil {
		return err
	}
	var up, told, gone time.Duration
	var code int
	if _, err := fmt.Sscan(out, &up, &told, &gone, &code); err != nil {
		return fmt.Errorf("cannot read %q: %w", out, err)
	}
	if code != p.stopped {
		return fmt.Errorf("it has ended with %d, not %d", code, p.stopped)
	}
	if left, _ := filepath.Glob(filepath.Join(how.dir, "*.pid")); len(left) > 0 {
		return fmt.Errorf("it has left %d PID files", len(left))
	}
	to.up, to.told, to.gone = append(to.up, up), append(to.told, told), append(to.gone, gone)
	return how.done()
}

// besideC runs brood and the C loop by turns.
func (l *lab) besideC(n, runs int, settle time.Duration) (brood, floor *raised, err error) {
	all, failed := l.raise(n, runs, settle, l.broodPeer(), l.floor("spawn"))
	return all["brood"], all["C"], joined(failed)
}

func measureSmall(l *lab) ([]result, error) {
	brood, floor, err := l.besideC(32, l.size.small, 0)
	if err != nil {
		return nil, err
	}
	more := brood.up.min() - floor.up.min()
	return []result{{
		brood: brood.up.String(), peer: "C " + floor.up.String(),
		ratio:   fmt.Sprintf("%s, C + %s", times(brood.up.over(floor.up)), millis(more)),
		verdict: verdict(more <= 6*time.Millisecond),
	}}, nil
}

// measureLarge lets the workers become ready before they are stopped: that is
// what a stop finds.
func measureLarge(l *lab) ([]result, error) {
	brood, floor, err := l.besideC(l.size.workers, l.size.large, 1200*time.Millisecond)
	if err != nil {
		return nil, err
	}
	up, told := brood.up.over(floor.up), brood.told.over(floor.told)
	return []result{{
		brood: brood.up.String(), peer: "C " + floor.up.String(),
		ratio: times(up), verdict: verdict(up <= 1.15),
	}, {
		what: "last of " + strconv.Itoa(l.size.workers) + " workers has its SIGTERM", bar: "<= 1.25x C",
		brood: brood.told.String(), peer: "C " + floor.told.String(),
		ratio: times(told), verdict: verdict(told <= 1.25),
	}}, nil
}
