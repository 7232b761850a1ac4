package fanout

import (
	"sync"
	"time"
)

// outbox brings inputs to the engine, in the order in which they were put in.
// What can wait is held, so that the engine is woken up once for many starts and
// not for each: while 500 workers begin, every thread that wants a CPU takes it
// from one of them.
type outbox struct {
	out    chan<- Input
	closed <-chan struct{}
	timer  *time.Timer

	mu   sync.Mutex // held while something is sent: that is what keeps the order
	held []Input
}

const (
	holdMost = 32
	// holdLongest bounds how late the engine hears of a start when the next one
	// hangs.
	holdLongest = 10 * time.Millisecond
)

func newOutbox(out chan<- Input, closed <-chan struct{}) *outbox {
	o := &outbox{out: out, closed: closed}
	o.timer = time.AfterFunc(time.Hour, o.flush)
	o.timer.Stop()
	return o
}

// send delivers in after what is held. It waits for room, and gives up when
// closed is.
func (o *outbox) send(in Input) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushLocked()
	o.deliver(in)
}

// hold delivers in with the next one that is sent, or soon.
func (o *outbox) hold(in Input) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held = append(o.held, in); len(o.held) == 1 {
		o.timer.Reset(holdLongest)
	}
	if len(o.held) >= holdMost {
		o.flushLocked()
	}
}

// flush delivers what is held.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushLocked()
}

func (o *outbox) flushLocked() {
	if len(o.held) == 0 {
		return
	}
	o.timer.Stop()
	for i, in := range o.held {
		o.deliver(in)
		o.held[i] = nil
	}
	o.held = o.held[:0]
}

func (o *outbox) deliver(in Input) {
	select {
	case o.out <- in:
	case <-o.closed:
	}
}
