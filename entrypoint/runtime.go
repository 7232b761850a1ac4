package entrypoint

import (
	"runtime"
	"runtime/debug"
)

// enoughThreads is how many threads brood has before the workers can use up all
// processes that the container may have: a Go program that needs one more and
// cannot have it dies. More than ten were never seen in use.
const enoughThreads = 12

// reserveThreads makes threads that stay: the runtime keeps those that are idle.
// It ends early once stop is closed.
func reserveThreads(stop <-chan struct{}) {
	gate := make(chan struct{})
	defer close(gate)
	for range 2 * enoughThreads {
		select {
		case <-stop:
			return
		default:
		}
		if made, _ := runtime.ThreadCreateProfile(nil); made >= enoughThreads {
			return
		}
		held := make(chan struct{})
		go func() {
			runtime.LockOSThread() // who waits so keeps a thread from the others
			defer runtime.UnlockOSThread()
			close(held)
			<-gate
		}()
		<-held
	}
}

// tuneRuntime keeps brood small, by calls and not by GOGC or GOMAXPROCS in the
// environment, which the workers would inherit.
func tuneRuntime(memory int64) {
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(memory)
	runtime.GOMAXPROCS(2) // two also on one CPU: see package worldstop
}

// memoryLimit is what the runtime tries to keep within: it grows with the
// slots, since a limit below what lives makes every scrape slow. A worker's own
// page may be half a megabyte, which lives twice while pages are merged.
func (w *window) memoryLimit(slots int) int64 {
	limit := 8<<20 + int64(slots)*(16<<10)
	if w.cfg.WorkerMetrics.Value != nil {
		limit += min(int64(slots)*(2<<20), 64<<20)
	}
	return limit
}
