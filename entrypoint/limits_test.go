package entrypoint

import (
	"testing"
	"time"
)

func TestALimitCountsOnceItHasStoodStill(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s := settling{known: 4, seen: 4}
	told := []int{}
	// What is read at each second; the pauses in between are the watcher's own.
	reading := func(at time.Duration) int {
		switch {
		case at < 10*time.Second:
			return 4
		case at < 13*time.Second:
			return 2 // for too short a time
		case at < 20*time.Second:
			return 4
		}
		return 8
	}
	for at := time.Duration(0); at < 40*time.Second; {
		n := reading(at)
		tell, again := s.see(n, now.Add(at))
		if tell {
			told = append(told, n)
			if late := at - 20*time.Second; late > 10*time.Second {
				t.Errorf("%d was told %s after the change", n, late)
			}
		}
		at += again
	}
	if len(told) != 1 || told[0] != 8 {
		t.Errorf("told %v, want the 8 alone", told)
	}
}

func TestAQuietWatcherSleepsLong(t *testing.T) {
	s := settling{known: 3, seen: 3}
	if _, again := s.see(3, time.Now()); again < 2*time.Second {
		t.Errorf("it wakes up every %s", again)
	}
}
