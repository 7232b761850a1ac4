package output

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"time"
)

// run writes until close has been called and nothing is left.
func (s *sink) run() {
	defer close(s.done)
	for {
		next, ended := s.take()
		switch {
		case next != nil:
			s.writeAll(next.lines)
			if cap(next.lines) <= 2*chunk {
				s.blocks.Put(next)
			}
		case ended:
			return
		default:
			<-s.wake
		}
	}
}

// take is the oldest block. When the queue has run empty it is time to tell what
// is missing, and no sooner: the notice belongs behind the lines before it.
func (s *sink) take() (next *block, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 && !s.dead {
		for _, from := range s.owing {
			s.tell(from)
			from.owing = false
		}
		s.owing = nil
	}
	if len(s.pending) == 0 {
		s.pending = nil
		s.dead = s.dead || s.closing // who comes now comes too late
		return nil, s.closing
	}
	next, s.pending[0] = s.pending[0], nil
	s.pending = s.pending[1:]
	s.queued -= len(next.lines)
	s.inFlight = len(next.lines)
	return next, false
}

// writeAll writes a batch in pieces of whole lines and counts those that
// cannot be written.
func (s *sink) writeAll(batch []byte) {
	for len(batch) > 0 {
		lines := wholeLines(batch, atOnce)
		n, err := s.out.Write(lines)
		if err == nil {
			n = len(lines)
		}
		gone := s.wrote(len(lines), err)
		lost := lines[n:]
		if gone {
			lost = batch[n:]
		}
		s.dropped.add(count(lost), len(lost))
		if gone {
			return
		}
		if 0 < n && n < len(lines) {
			// A disk that was full may have room again: what follows is a line of its own.
			_, _ = s.out.Write([]byte{'\n'})
		}
		batch = batch[len(lines):]
	}
}

// wrote makes room, and reports whether the reader is gone for good.
func (s *sink) wrote(n int, err error) (gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight -= n
	s.moves++
	s.stalled = false
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EBADF) || errors.Is(err, io.ErrClosedPipe) {
		s.abandon()
	}
	s.grant()
	return s.dead
}

// abandon drops what is queued and all that will come. s.mu is held.
func (s *sink) abandon() {
	s.dead = true
	for _, b := range s.pending {
		s.dropped.add(count(b.lines), len(b.lines))
	}
	s.pending, s.owing, s.queued = nil, nil, 0
}

// close tells the writer to end when it has written what is queued.
func (s *sink) close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.nudge()
}

// wait returns when the writer has ended, or when the time is over: then what is
// left counts as dropped, and the writer ends when its write does.
func (s *sink) wait(within time.Duration) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case <-s.done:
	case <-timeout.C:
		s.mu.Lock()
		s.abandon()
		s.mu.Unlock()
	}
}

// wholeLines is as many whole lines from the start of batch as fit into n
// bytes, and one at least.
func wholeLines(batch []byte, n int) []byte {
	if len(batch) <= n {
		return batch
	}
	if end := bytes.LastIndexByte(batch[:n], '\n'); end >= 0 {
		return batch[:end+1]
	}
	return batch[:n+bytes.IndexByte(batch[n:], '\n')+1]
}

func count(lines []byte) int { return bytes.Count(lines, []byte{'\n'}) }
