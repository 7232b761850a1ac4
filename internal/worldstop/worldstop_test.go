package worldstop

import (
	"math"
	"runtime/debug"
	"testing"
)

func collections() int64 {
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	return stats.NumGC
}

// litter makes garbage of so many bytes.
func litter(t *testing.T, bytes int) {
	t.Helper()
	const piece = 64 << 10 // too much for a stack
	n := 0
	for range bytes / piece {
		n += cap(make([]byte, piece+n%2))
	}
	if n < bytes {
		t.Fatalf("%d bytes of garbage are too few", n)
	}
}

// settings are those of the runtime, which stay as they are.
func settings() (percent int, limit int64) {
	percent = debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent, debug.SetMemoryLimit(-1)
}

func TestNothingIsCollectedUntilItIsTimeAgain(t *testing.T) {
	percent, limit := settings()
	var s Schedule
	s.PutOff()
	s.PutOff() // once more is no more
	before := collections()
	litter(t, Allowance/2)
	if n := collections() - before; n != 0 {
		t.Errorf("%d collections although they are put off", n)
	}
	s.Resume()
	if p, l := settings(); p != percent || l != limit {
		t.Errorf("afterwards GOGC is %d and the memory limit %d, and they were %d and %d", p, l, percent, limit)
	}
	litter(t, Allowance/2)
	if collections() == before {
		t.Error("nothing is collected any more")
	}
	s.Resume() // nothing is put off
}

// What hangs for hours must not use up the memory of the container.
func TestWhatGrowsTooMuchIsCollectedAnyway(t *testing.T) {
	var s Schedule
	for time, enough := range []int{3 * Allowance, 5 * Allowance} {
		s.PutOff()
		before := collections()
		litter(t, enough)
		if collections() == before {
			t.Errorf("time %d: %d bytes of garbage, and nothing is collected", time, enough)
		}
		s.Resume()
	}
}

func TestWhatStopsTheWorldWaits(t *testing.T) {
	_, limit := settings()
	defer debug.SetMemoryLimit(limit)
	var s Schedule
	const first, second = math.MaxInt64 - 1, math.MaxInt64 - 2
	s.Do(func() { debug.SetMemoryLimit(first) })
	if _, l := settings(); l != first {
		t.Error("it waits for nothing")
	}
	s.PutOff()
	s.Do(func() { debug.SetMemoryLimit(second) })
	if _, l := settings(); l == second {
		t.Error("it does not wait")
	}
	s.Resume()
	if _, l := settings(); l != second {
		t.Error("it was forgotten, or what was before has come back")
	}
}

func TestWithoutAScheduleNothingWaits(t *testing.T) {
	var s *Schedule
	s.PutOff()
	done := false
	s.Do(func() { done = true })
	s.Resume()
	if !done {
		t.Error("it waits")
	}
}

func BenchmarkPutOff(b *testing.B) {
	var s Schedule
	for b.Loop() {
		s.PutOff()
		s.Resume()
	}
}
