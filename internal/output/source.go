package output

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// chunk is how much a source reads, and reserves, at once.
const chunk = 32 << 10

// source reads one pipe of one worker.
type source struct {
	file    *os.File
	raw     syscall.RawConn
	sink    *sink
	buffers *sync.Pool
	prompt  time.Duration // after which an incomplete line goes out
	onLine  func(piece)   // may be nil

	frame   framer
	split   splitter
	permit  permit
	limited bool // a deadline is set

	missing uint64 // lines dropped and not told of; guarded by sink.mu
	owing   bool   // is in sink.owing; guarded by sink.mu

	leave    atomic.Bool   // do not wait for the end
	busy     atomic.Bool   // something was read that onLine has not seen
	partial  atomic.Bool   // the last line has no newline yet, and is not seen either
	progress chan struct{} // capacity 1: busy was reset
	ended    chan struct{}
}

// buffers are what a source needs while it works. While it waits it has none.
type buffers struct {
	read  [chunk]byte
	lines []byte
}

// permit says what is to become of the next text.
type permit int

const (
	unknown permit = iota // it is not to be read yet
	keep                  // there is room reserved for it
	discard               // there is none, and waiting was in vain
)

// found says how a wait for text ended.
type found int

const (
	text       found = iota
	noRoom           // there is text, or the end, and no room reserved
	stoodStill       // nothing came for a while
	inTime           // it looked like that only
	theEnd
)

// run reads until the pipe's end: until every process that holds its other side
// has closed it.
func (s *source) run() {
	defer close(s.ended)
	defer func() { _ = s.file.Close() }()
	for {
		in, n, found := s.next()
		switch found {
		case text:
			s.take(in, n)
			s.limit()
		case noRoom:
			s.permit = discard
			if s.sink.reserve() {
				s.permit = keep
			}
		case stoodStill:
			s.flush(true)
			s.limit()
		case inTime:
			s.limit()
		case theEnd:
			s.flush(false)
			return
		}
	}
}

// next waits for text and reads it, if that is permitted or there is room now.
func (s *source) next() (in *buffers, n int, got found) {
	if s.leave.Load() {
		s.revoke()
		return nil, 0, theEnd
	}
	err := s.raw.Read(func(fd uintptr) (done bool) {
		if s.permit == unknown {
			if !s.sink.tryReserve() {
				got = noRoom
				return readable(int(fd))
			}
			s.permit = keep
		}
		in = s.buffers.Get().(*buffers)
		s.busy.Store(true)
		var failure error
		if n, failure = unix.Read(int(fd), in.read[:]); failure == nil && n > 0 {
			got = text
			return true
		}
		s.settled()
		s.buffers.Put(in)
		in = nil // else the wait would hold it
		s.revoke()
		got = theEnd
		return failure != unix.EAGAIN
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && !s.leave.Load():
		return nil, 0, s.late()
	case err != nil:
		return nil, 0, theEnd
	}
	return in, n, got
}

// late says why nothing was read in time: nothing came, or we waited for room
// ourselves and there is text by now.
func (s *source) late() found {
	waits := false
	_ = s.raw.Control(func(fd uintptr) { waits = readable(int(fd)) })
	if waits {
		return inTime
	}
	return stoodStill
}

func (s *source) revoke() {
	if s.permit == keep {
		s.sink.release()
	}
	s.permit = unknown
}

// readable reports whether a read would return at once.
func readable(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0
}

// take turns text into lines and queues them, or counts them as dropped.
func (s *source) take(in *buffers, n int) {
	s.frame.at(time.Now())
	in.lines = in.lines[:0]
	s.split.feed(in.read[:n], func(p piece) { s.line(in, p) })
	s.partial.Store(len(s.split.rest) > 0)
	s.settled()
	s.hand(in)
}

// flush sends an incomplete line.
func (s *source) flush(partial bool) {
	if len(s.split.rest) == 0 {
		return
	}
	s.permit = discard
	if s.sink.reserve() {
		s.permit = keep
	}
	in := s.buffers.Get().(*buffers)
	s.frame.at(time.Now())
	in.lines = in.lines[:0]
	s.split.flush(partial, func(p piece) { s.line(in, p) })
	s.partial.Store(false)
	s.hand(in)
}

func (s *source) line(in *buffers, p piece) {
	if s.onLine != nil {
		s.onLine(p)
	}
	in.lines = s.frame.append(in.lines, p)
}

// hand uses up the permit and gives the buffers back.
func (s *source) hand(in *buffers) {
	if s.permit == keep {
		s.sink.commit(s, in.lines)
	} else {
		s.sink.drop(s, in.lines)
	}
	s.permit = unknown
	if cap(in.lines) > 4*chunk {
		in.lines = nil
	}
	s.buffers.Put(in)
}

func (s *source) settled() {
	s.busy.Store(false)
	select {
	case s.progress <- struct{}{}:
	default:
	}
}

// limit bounds the wait for the rest of a line.
func (s *source) limit() {
	var deadline time.Time
	if len(s.split.rest) > 0 {
		deadline = time.Now().Add(s.prompt)
	}
	if s.limited || !deadline.IsZero() {
		_ = s.file.SetReadDeadline(deadline)
	}
	s.limited = !deadline.IsZero()
}

// end makes run return soon although others hold the pipe open. run looks at
// leave after it has set a deadline of its own, so it misses neither.
func (s *source) end() {
	s.leave.Store(true)
	_ = s.file.SetReadDeadline(time.Unix(1, 0))
}

// settle waits until all that is in the pipe has been seen: also a last line
// without a newline, which is one at the pipe's end.
func (s *source) settle(within time.Duration) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		unread := 0
		err := s.raw.Control(func(fd uintptr) { unread, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
		// In this order: what has just been read shows as busy.
		if err != nil || unread == 0 && !s.busy.Load() && !s.partial.Load() {
			return
		}
		select {
		case <-s.progress:
		case <-s.ended:
			return
		case <-timeout.C:
			return
		}
	}
}
