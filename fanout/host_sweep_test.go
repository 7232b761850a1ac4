package fanout

import (
	"syscall"
	"testing"
	"time"
)

// What was begun is done before brood leaves, unless it hangs.
func TestTheLastSweepIsWaitedFor(t *testing.T) {
	host := taskHost(t)
	gate, swept := make(chan struct{}), make(chan struct{})
	host.walks.put(func() { <-gate })
	host.Sweep(syscall.SIGKILL)
	host.walks.put(func() { close(swept) })
	began := time.Now()
	host.AwaitSweep(50 * time.Millisecond)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it was waited for %s, although it was not over", took)
	}
	close(gate)
	host.AwaitSweep(time.Minute)
	select {
	case <-swept:
	default:
		t.Error("it was not waited for")
	}
}
