package fanout

import (
	"container/heap"
	"time"
)

// lateness is how late a timer may fire before it counts as overslept: after
// docker pause, a resumed machine or heavy throttling every deadline is over
// at once, and nobody had a chance to meet it.
const lateness = time.Second

// timers are the engine's deadlines behind one runtime timer. There is no way
// to cancel one: each callback looks at the state it finds and ignores what
// is no longer true.
type timers struct {
	heap  timerHeap
	timer *time.Timer
	seq   int
}

type deadline struct {
	at     time.Time
	after  time.Duration
	run    func()
	strict bool // never put off: part of the stop budget
	put    bool // has been put off once
	seq    int  // keeps equal instants in order
}

func newTimers() *timers {
	t := &timers{timer: time.NewTimer(time.Hour)}
	t.timer.Stop()
	return t
}

// after calls run once d has passed. Found more than a second late, the call
// is put off once by another d.
func (t *timers) after(d time.Duration, run func()) {
	t.push(deadline{at: time.Now().Add(d), after: d, run: run})
}

// at calls run at the instant at or as soon as possible after it.
func (t *timers) at(at time.Time, run func()) {
	t.push(deadline{at: at, run: run, strict: true})
}

func (t *timers) push(d deadline) {
	t.seq++
	d.seq = t.seq
	heap.Push(&t.heap, d)
}

// arm sets the runtime timer to the next deadline and returns its channel.
func (t *timers) arm() <-chan time.Time {
	if len(t.heap) == 0 {
		t.timer.Stop()
		return nil
	}
	t.timer.Reset(time.Until(t.heap[0].at))
	return t.timer.C
}

// expire runs everything that is due.
func (t *timers) expire() {
	now := time.Now()
	for len(t.heap) > 0 && !t.heap[0].at.After(now) {
		d := heap.Pop(&t.heap).(deadline)
		if !d.strict && !d.put && now.Sub(d.at) > lateness {
			d.put = true
			d.at = now.Add(d.after)
			t.push(d)
			continue
		}
		d.run()
	}
}

type timerHeap []deadline

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(deadline)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = deadline{} // lets go of the callback
	*h = old[:len(old)-1]
	return last
}
