package output

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// sink is a bounded queue of whole lines and the goroutine that writes them. A
// source reserves room before it reads, so nobody holds text while waiting.
type sink struct {
	out      io.Writer
	limit    int           // bytes
	patience time.Duration // how long reserve waits
	dropped  *drops
	blocks   sync.Pool     // of *block
	wake     chan struct{} // capacity 1: there is something to write
	done     chan struct{} // the writer has ended

	mu       sync.Mutex
	pending  []*block       // lines to be written, the oldest first
	queued   int            // bytes in pending
	inFlight int            // bytes that the writer has taken and not written
	reserved int            // bytes promised to sources
	waiting  []*reservation // for room, the oldest first
	owing    []*source      // that have drops to tell
	moves    uint64         // how often the reader has taken something
	stalled  bool           // somebody has waited in vain since it last did
	dead     bool           // it never will again
	closing  bool
}

// block is a piece of the queue: whole lines.
type block struct{ lines []byte }

// drops counts what never reached its reader. It may be read at any time.
type drops struct{ lines, bytes atomic.Uint64 }

func (d *drops) add(lines, bytes int) {
	d.lines.Add(uint64(lines))
	d.bytes.Add(uint64(bytes))
}

type reservation struct {
	granted chan struct{}
	moves   uint64 // of the sink, when the wait began
}

func newSink(out io.Writer, limit int, patience time.Duration, dropped *drops) *sink {
	return &sink{
		out: out, limit: limit, patience: patience, dropped: dropped,
		blocks: sync.Pool{New: func() any { return &block{make([]byte, 0, 2*chunk)} }},
		wake:   make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// hasRoom reports whether a chunk fits now. s.mu is held.
func (s *sink) hasRoom() bool {
	return !s.dead && s.queued+s.inFlight+s.reserved+chunk <= s.limit
}

// tryReserve reserves room for a chunk if there is some and nobody waits for it.
func (s *sink) tryReserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 || !s.hasRoom() {
		return false
	}
	s.reserved += chunk
	return true
}

// reserve waits for room for a chunk, in turn and for no longer than patience.
// After false the caller drops what it reads. Once somebody has waited in vain
// nobody waits until the reader moves: a worker is held up once per standstill.
func (s *sink) reserve() bool {
	s.mu.Lock()
	if len(s.waiting) == 0 && s.hasRoom() {
		s.reserved += chunk
		s.mu.Unlock()
		return true
	}
	if s.dead || s.stalled || s.closing {
		s.mu.Unlock()
		return false
	}
	r := &reservation{granted: make(chan struct{}), moves: s.moves}
	s.waiting = append(s.waiting, r)
	s.mu.Unlock()

	timeout := time.NewTimer(s.patience)
	defer timeout.Stop()
	select {
	case <-r.granted:
	case <-timeout.C:
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiting {
		if w == r {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			s.stalled = s.stalled || s.moves == r.moves
			return false
		}
	}
	return !s.dead
}

// release gives back a reservation that was not used.
func (s *sink) release() {
	s.mu.Lock()
	s.reserved -= chunk
	s.grant()
	s.mu.Unlock()
}

// grant serves those that wait, in turn. s.mu is held.
func (s *sink) grant() {
	for len(s.waiting) > 0 && (s.dead || s.hasRoom()) {
		if !s.dead {
			s.reserved += chunk
		}
		close(s.waiting[0].granted)
		s.waiting = s.waiting[1:]
	}
}

// commit queues a source's lines against its reservation. They may have become
// longer than what was read; the queue is over its limit by that much.
func (s *sink) commit(from *source, lines []byte) {
	s.mu.Lock()
	s.reserved -= chunk
	switch {
	case len(lines) == 0:
	case s.dead:
		s.dropped.add(count(lines), len(lines))
	default:
		s.tell(from)
		s.queue(lines)
	}
	s.grant()
	s.mu.Unlock()
	s.nudge()
}

// drop counts a source's lines instead of queueing them.
func (s *sink) drop(from *source, lines []byte) {
	if len(lines) == 0 {
		return
	}
	n := count(lines)
	s.dropped.add(n, len(lines))
	s.mu.Lock()
	if !from.owing && !s.dead {
		from.owing = true
		s.owing = append(s.owing, from)
	}
	from.missing += uint64(n)
	s.mu.Unlock()
	s.nudge()
}

// tell queues the notice of what a source has dropped. s.mu is held.
func (s *sink) tell(from *source) {
	if from.missing > 0 {
		s.queue(from.frame.notice(nil, time.Now(), from.missing))
		from.missing = 0
	}
}

// nudge wakes the writer.
func (s *sink) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// queue appends whole lines. s.mu is held.
func (s *sink) queue(lines []byte) {
	s.queued += len(lines)
	if n := len(s.pending); n > 0 {
		if last := s.pending[n-1]; cap(last.lines)-len(last.lines) >= len(lines) {
			last.lines = append(last.lines, lines...)
			return
		}
	}
	next := s.blocks.Get().(*block)
	next.lines = append(next.lines[:0], lines...)
	s.pending = append(s.pending, next)
}
