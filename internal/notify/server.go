package notify

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Server needs. Its functions are called from many
// goroutines, those of one slot one after another. They must not call the
// Server, nor block for long: meanwhile the slot is not heard.
type Options struct {
	// Dir is where sockets are made. Where that is not possible, or it is "",
	// addresses are abstract (unix(7)): they need no directory, but everybody in
	// the network namespace may send to them.
	Dir string
	// Name is what the sockets in Dir are called, before the slot's number; "" is
	// notify. Two servers with one Dir need two names.
	Name string
	// Owner says whose process it is that speaks on a slot's socket: the worker's own
	// or a descendant. It is called while the message waits, at best with the
	// sender still alive, and may wait itself for a worker that is just being started.
	Owner func(slot, pid int) (owner, incarnation int, ok bool)
	// Heard gets every message that counts.
	Heard func(Message)
	// Refused, if set, is told of every other one.
	Refused func(Refusal)
}

// Reason says why a message was refused.
type Reason string

// The reasons.
const (
	Stranger  Reason = "stranger"  // the sender is alive and not of this slot
	Gone      Reason = "gone"      // the sender had ended: nobody knows whose it was
	Anonymous Reason = "anonymous" // the kernel gave no process number of our namespace
	TooLong   Reason = "too long"
	Malformed Reason = "malformed" // an assignment; the message's others count
)

// Refusal tells of a message, or a part of one, that does not count.
type Refusal struct {
	Slot   int // whose socket it came to
	PID    int // of the sender; 0 when anonymous
	UID    int // of the sender; -1 when anonymous
	Reason Reason
	Detail string // what is malformed; none of it is the sender's words
}

// Server hears what workers say. Its methods may be called from any goroutine.
type Server struct {
	options Options
	ignored atomic.Uint64
	spare   sync.Pool // of *buffer

	mu      sync.Mutex
	closed  bool
	sockets map[int]*socket
}

// New returns a Server that has no socket yet.
func New(options Options) *Server {
	return &Server{
		options: options,
		spare:   sync.Pool{New: func() any { return new(buffer) }},
		sockets: map[int]*socket{},
	}
}

// Open makes a slot's socket and returns its address for NOTIFY_SOCKET: a
// path, or "@" and an abstract name. It belongs to the slot until Shut, over all
// incarnations; opening it again returns the same, made anew if its file has been
// removed, as by what cleans up /tmp. Only uid, and root, may send
// to it; a negative uid is our own. The error after Close is os.ErrClosed.
func (s *Server) Open(slot, uid int) (address string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", fmt.Errorf("cannot listen for slot %d: %w", slot, os.ErrClosed)
	}
	if at := s.sockets[slot]; at != nil {
		if !at.lost() {
			return at.address, nil
		}
		delete(s.sockets, slot)
		_ = at.close(time.Now().Add(closeWithin)) // nobody can send to it
	}
	at, err := listen(s.options.Dir, cmp.Or(s.options.Name, "notify"), slot, uid)
	if err != nil {
		return "", fmt.Errorf("cannot listen for slot %d: %w", slot, err)
	}
	s.sockets[slot] = at
	go s.hear(at)
	return at.address, nil
}

// Shut closes a slot's socket. What is in it is lost. No function is called for
// the slot after Shut has returned, unless one hangs.
func (s *Server) Shut(slot int) error {
	s.mu.Lock()
	at := s.sockets[slot]
	delete(s.sockets, slot)
	s.mu.Unlock()
	if at == nil {
		return nil
	}
	return at.close(time.Now().Add(closeWithin))
}

// Close closes all sockets, as Shut does.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	all := s.sockets
	s.sockets = nil
	s.mu.Unlock()
	var failed []error
	end := time.Now().Add(closeWithin)
	for _, at := range all {
		failed = append(failed, at.close(end))
	}
	return errors.Join(failed...)
}

// Ignored counts assignments that were understood and not followed, such as
// MAINPID.
func (s *Server) Ignored() uint64 { return s.ignored.Load() }

// hear reads a socket until it is closed.
func (s *Server) hear(at *socket) {
	defer close(at.ended)
	var pace pace
	for {
		got, err := at.receive(&s.spare)
		wait := every // what fails for once is tried again, until the socket is closed
		if err == nil {
			s.judge(at.slot, got)
			// Not before: the sender of a barrier waits until its messages have counted.
			got.release(&s.spare)
			wait = pace.next(time.Now())
		}
		if !at.pause(wait) {
			return
		}
	}
}

// judge finds out who has spoken, and passes on what counts.
func (s *Server) judge(slot int, got *received) {
	refuse := func(reason Reason, detail string) {
		if s.options.Refused != nil {
			s.options.Refused(Refusal{Slot: slot, PID: got.pid, UID: got.uid, Reason: reason, Detail: detail})
		}
	}
	if got.pid <= 0 {
		refuse(Anonymous, "")
		return
	}
	owner, incarnation, ok := s.options.Owner(slot, got.pid)
	switch {
	case (!ok || owner != slot) && !exists(got.pid):
		refuse(Gone, "")
		return
	case !ok || owner != slot:
		refuse(Stranger, "")
		return
	case got.truncated || len(got.text) > longestMessage:
		refuse(TooLong, "")
		return
	}
	m, heard, ignored, err := parse(got.text)
	s.ignored.Add(uint64(ignored))
	if err != nil {
		refuse(Malformed, err.Error())
	}
	if heard {
		m.Slot, m.Incarnation, m.PID = slot, incarnation, got.pid
		s.options.Heard(m)
	}
}
