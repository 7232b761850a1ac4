// Package worldstop keeps the Go runtime from stopping all goroutines while one
// thread cannot be stopped.
//
// Between fork and exec Go's ForkExec waits in vfork, on a thread that has not
// told the runtime that it is in a system call. Who wants to stop the world, a
// garbage collection above all, waits for that thread, and everybody waits for
// him. That is no time at all, but if the file comes from a disk or a server
// that hangs, or some security software decides about each exec, it is for as
// long as they like. So nobody stops the world meanwhile.
//
// The processor of the runtime (its P) on which that thread runs is not given
// to others either. There are two at least, then.
package worldstop

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Allowance is how many bytes a program may grow by while collections are put
// off. Then there is one after all. A scrape makes 20 KB of garbage, one of 1000
// workers a megabyte.
const Allowance = 64 << 20

// Schedule says when the world may be stopped. There is one in a program, since
// there is one world. The zero value is ready, and a nil one does nothing.
type Schedule struct {
	mu      sync.Mutex
	off     bool
	before  bool  // it was put off before
	percent int   // GOGC, to be set again
	limit   int64 // the memory limit
	waiting []func()
}

// PutOff returns when no collection is under way, and none begins until Resume
// unless memory grows by Allowance. It costs a microsecond, and nothing when all
// is put off already.
func (s *Schedule) PutOff() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return
	}
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.GOMAXPROCS(2)
	}
	// In this order: the limit counts alone when there is no percentage.
	s.limit = debug.SetMemoryLimit(s.inUse() + Allowance)
	s.percent = debug.SetGCPercent(-1) // waits for a collection that has begun
	s.off = true
}

// Resume ends PutOff.
func (s *Schedule) Resume() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.off {
		return
	}
	debug.SetGCPercent(s.percent)
	debug.SetMemoryLimit(s.limit)
	s.off = false
	for _, f := range s.waiting {
		f()
	}
	s.waiting = nil
}

// Do runs f, which stops the world, as all changes of the runtime's settings do:
// at once, or in Resume.
func (s *Schedule) Do(f func()) {
	if s == nil {
		f()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		s.waiting = append(s.waiting, f)
		return
	}
	f()
}

// inUse is what the memory limit is compared with. The first question costs 36 us,
// which the first worker would have to wait for: a program that has only begun
// has less than this.
func (s *Schedule) inUse() int64 {
	if !s.before {
		s.before = true
		return Allowance
	}
	samples := [...]metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples[:])
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return math.MaxInt64 - Allowance // no limit
		}
	}
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
