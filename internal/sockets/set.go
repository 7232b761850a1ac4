package sockets

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrClosed is returned by For after Close.
var ErrClosed = errors.New("cannot pass sockets: they are closed, brood is stopping")

// Set is brood's listening sockets. It is safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	closed bool
	all    []*listener
	made   []file
	owner  *Owner
}

// listener is one entry of a Set: one socket for all slots, or one for each.
type listener struct {
	name, shown string // shown: its address for SERVER_STARTER_PORT
	shared      int    // -1 with reuseport
	spec        Spec   // with reuseport: its address has the port by now
	slots       map[int]int
}

// Open binds what is asked for, in that order. What matches an inherited socket
// by name or address is that one; without specs all the inherited ones are
// used, as they come. Inherited sockets that no spec asks for stay open, unused.
//
// Unix sockets that are made belong to owner; nil is our own user. One that
// either of them has left behind is replaced.
func Open(specs []Spec, inherited []InheritedSocket, owner *Owner) (*Set, error) {
	if err := Check(specs); err != nil {
		return nil, err
	}
	set := &Set{owner: owner}
	if len(specs) == 0 {
		for _, in := range inherited {
			set.adopt(in)
		}
		return set, nil
	}
	left := inherited
	for _, s := range specs {
		var err error
		if left, err = set.open(s, left); err != nil {
			set.Close()
			_ = set.Remove() // the first error is the one to be told
			return nil, fmt.Errorf("cannot listen on %s: %w", s, err)
		}
	}
	return set, nil
}

// open returns the inherited sockets that are left.
func (set *Set) open(s Spec, inherited []InheritedSocket) ([]InheritedSocket, error) {
	for i, in := range inherited {
		if !s.is(in) {
			continue
		}
		if s.ReusePort {
			return nil, errors.New("it comes from outside, one for all workers: leave out ,reuseport")
		}
		if s.Name != "" {
			in.Name = s.Name
		}
		if s.NonBlock {
			if err := unix.SetNonblock(in.FD, true); err != nil {
				return nil, err
			}
		}
		set.adopt(in)
		return append(inherited[:i:i], inherited[i+1:]...), nil
	}
	l := &listener{name: s.Name, shared: -1, spec: s}
	fd, err := set.listen(s)
	if err != nil {
		return nil, err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	l.shown = shown(s, format(at))
	if s.ReusePort {
		// The first slot's, so that what is wrong with the address is known
		// now; and with port 0 the others follow.
		l.spec.Address = withPort(s.Address, format(at))
		l.slots = map[int]int{1: fd}
	} else {
		l.shared = fd
	}
	set.all = append(set.all, l)
	return inherited, nil
}

func (set *Set) listen(s Spec) (int, error) {
	if s.Network != "unix" {
		return s.listenTCP()
	}
	fd, made, err := s.listenUnix(set.owner)
	if err == nil {
		set.made = append(set.made, made)
	}
	return fd, err
}

func (set *Set) adopt(in InheritedSocket) {
	set.all = append(set.all, &listener{name: in.Name, shown: shown(Spec{}, in.Address), shared: in.FD})
}

// shown is the address as start_server has it: without a host it was the port
// alone that was asked for.
func shown(s Spec, address string) string {
	if port, any := strings.CutPrefix(address, "[::]:"); any && s.Network != "tcp6" {
		return port
	}
	if port, any := strings.CutPrefix(address, "0.0.0.0:"); any && strings.HasPrefix(s.Address, ":") {
		return port
	}
	return address
}

// withPort is address with the port of bound.
func withPort(address, bound string) string {
	return address[:strings.LastIndexByte(address, ':')] + bound[strings.LastIndexByte(bound, ':'):]
}

// Len is how many sockets each worker gets.
func (set *Set) Len() int { return len(set.all) }

// For returns the sockets for the worker of a slot, counted from 1. They are
// duplicates, so that Close does not take their numbers away under a start: the
// caller closes them when the worker has them.
//
// A slot's own socket is made when it is first asked for and kept for the
// slot's next workers, since connections may wait in its queue.
func (set *Set) For(slot int) (Sockets, error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed {
		return nil, ErrClosed
	}
	var out Sockets
	for _, l := range set.all {
		fd, err := l.of(slot)
		if err == nil {
			fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, first)
		}
		if err != nil {
			out.Close()
			return nil, fmt.Errorf("cannot listen on %s for slot %d: %w", l.spec, slot, err)
		}
		out = append(out, Socket{Name: l.name, Address: l.shown, FD: fd})
	}
	return out, nil
}

func (l *listener) of(slot int) (int, error) {
	if l.shared >= 0 {
		return l.shared, nil
	}
	if fd, ok := l.slots[slot]; ok {
		return fd, nil
	}
	fd, err := l.spec.listenTCP()
	if err == nil {
		l.slots[slot] = fd
	}
	return fd, err
}

// Retire closes what only this slot has. Call it when the slot is to have no
// worker any more: as long as its socket is open, the kernel gives it its share
// of the connections. What waits in the queue then is reset.
func (set *Set) Retire(slot int) {
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, l := range set.all {
		if fd, ok := l.slots[slot]; ok {
			_ = unix.Close(fd)
			delete(l.slots, slot)
		}
	}
}

// Close closes brood's copies. From then on a socket lives as long as a worker
// has it, and connections are refused when the last one has closed it.
func (set *Set) Close() {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed {
		return
	}
	set.closed = true
	for _, l := range set.all {
		if l.shared >= 0 {
			_ = unix.Close(l.shared)
		}
		for _, fd := range l.slots {
			_ = unix.Close(fd)
		}
	}
}

// Remove removes the files of unix sockets that Open has made, unless another
// has been put in their place. Call it when the workers have ended.
func (set *Set) Remove() error {
	set.mu.Lock()
	defer set.mu.Unlock()
	var all []error
	for _, f := range set.made {
		all = append(all, f.remove())
	}
	set.made = nil
	return errors.Join(all...)
}
