package entrypoint

import (
	"sync"
	"time"

	"github.com/brood-init/brood/fanout"
)

// beginning says when the turn of those is who can wait: nothing takes a CPU
// from the workers as long as they start.
type beginning struct {
	first chan struct{} // closed once something has been started, or nothing is to be
	calm  chan struct{} // closed a moment after every worker has been started once, or none will be any more

	wanted int // how many are still to be started
	begun  bool
	once   sync.Once
	timer  *time.Timer
}

const (
	// calmAfter is what workers get for their own first steps.
	calmAfter = 10 * time.Millisecond
	// calmLatest is for those that start one after another for a long time: then
	// it pays to show how far they are.
	calmLatest = 200 * time.Millisecond
)

func newBeginning(workers int) *beginning {
	b := &beginning{first: make(chan struct{}), calm: make(chan struct{}), wanted: workers}
	b.timer = time.AfterFunc(calmLatest, b.calmDown)
	b.timer.Stop()
	return b
}

func (b *beginning) calmDown() { b.once.Do(func() { close(b.calm) }) }

// observe is a fanout.Observer.
func (b *beginning) observe(_ time.Time, ev fanout.Event) {
	switch ev := ev.(type) {
	case fanout.WorkerStarted, fanout.WorkerStartFailed, fanout.SlotTaken:
		b.begin()
		if b.wanted--; b.wanted == 0 {
			b.timer.Reset(calmAfter)
		}
	case fanout.HookStarted, fanout.HookFinished:
		b.begin()
	case fanout.PhaseEntered:
		switch {
		case ev.Phase == fanout.PhaseRunning && b.wanted > 0:
			b.timer.Reset(calmLatest) // the first start may hang
		case ev.Phase != fanout.PhasePreparing:
			b.begin()
			// A brood that leaves at once does without what would only be in its way.
			b.timer.Reset(calmAfter)
		}
	}
}

func (b *beginning) begin() {
	if !b.begun {
		b.begun = true
		close(b.first)
	}
}
