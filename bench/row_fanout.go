package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// raised is how long a fan-out took to run, and then to tell all its workers.
type raised struct{ up, told samples }

// raise runs brood and the C loop by turns, each with n workers, and lets them
// settle before they are told to end.
func (l *lab) raise(n, runs int, settle time.Duration) (brood, floor raised, err error) {
	shared := l.shared("fanout")
	count, wait := strconv.Itoa(n), strconv.Itoa(int(settle.Milliseconds()))
	once := func(to *raised, files string, argv ...string) error {
		args := append([]string{shared, count, files, wait}, argv...)
		out, err := l.output(l.c("raise"), args...)
		if err != nil {
			return err
		}
		columns, err := parseColumns(out, 2)
		if err != nil {
			return err
		}
		to.up = append(to.up, columns[0]...)
		to.told = append(to.told, columns[1]...)
		return nil
	}
	for range runs {
		pattern, err := l.pattern("fanout")
		if err != nil {
			return brood, floor, err
		}
		dir := filepath.Dir(pattern)
		err = once(&brood, filepath.Join(dir, "brood.%d.pid"), l.brood, "--pidfile", pattern, "-n", count, "--", l.c("worker"), shared)
		if err != nil {
			return brood, floor, err
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "brood.*.pid")); len(left) > 0 {
			return brood, floor, fmt.Errorf("brood has left %d PID files", len(left))
		}
		if err := os.RemoveAll(dir); err != nil {
			return brood, floor, err
		}
		if err := once(&floor, "-", l.c("spawn"), count, l.c("worker"), shared); err != nil {
			return brood, floor, err
		}
	}
	return brood, floor, nil
}

func measureSmall(l *lab) ([]result, error) {
	brood, floor, err := l.raise(32, l.size.small, 0)
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
	brood, floor, err := l.raise(l.size.workers, l.size.large, 1200*time.Millisecond)
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
