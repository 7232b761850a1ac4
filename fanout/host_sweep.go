package fanout

import (
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

// sweeper remembers who has had SIGTERM and when, so that nobody gets it twice:
// some programs take the second one for "abort". Times are clock ticks since
// boot, as the start times in /proc.
type sweeper struct {
	mu     *sync.Mutex
	told   map[registeredKey]uint64
	groups map[int]uint64
	all    bool // everybody has had it, by kill(-1)
}

func newSweeper() sweeper {
	return sweeper{mu: new(sync.Mutex), told: make(map[registeredKey]uint64), groups: make(map[int]uint64)}
}

func keyOf(st proc.Stat) registeredKey { return registeredKey{st.PID, st.StartTicks} }

// tell notes that a process has SIGTERM as of now.
func (s *sweeper) tell(key registeredKey) {
	s.mu.Lock()
	s.told[key] = bootTicks()
	s.mu.Unlock()
}

// tellGroups notes that all members of groups have SIGTERM as of now.
func (s *sweeper) tellGroups(processes []*reaper.Process) {
	now := bootTicks()
	s.mu.Lock()
	for _, p := range processes {
		s.groups[p.PID()] = now
	}
	s.mu.Unlock()
}

// spared reports whether a process is not to be told: it has had SIGTERM, by
// itself or as a member of a group at that time, or its parent has had it and
// started it since, to clean up. parents are those seen in the same walk.
func (s *sweeper) spared(st proc.Stat, parents map[int]proc.Stat) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, told := s.told[keyOf(st)]; told {
		return true
	}
	if at, told := s.groups[st.PGRP]; told && st.StartTicks <= at {
		return true
	}
	parent, known := parents[st.PPID]
	if !known {
		return false
	}
	at, told := s.told[keyOf(parent)]
	if told && st.StartTicks >= at {
		s.told[keyOf(st)] = at // and so are its own children
		return true
	}
	return false
}

// bootTicks is the time since boot in the unit of /proc's start times, USER_HZ.
func bootTicks() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return uint64(now.Nano()) / 10_000_000
}

// Sweep implements System.
func (h *Host) Sweep(sig syscall.Signal) {
	h.walks.put(func() { h.send(h.sweep(sig)) })
}

// AwaitSweep waits until the last sweep is over, at most so long. On a busy machine
// the engine may have to end before that, and who is left then outlives a brood
// that is not PID 1.
func (h *Host) AwaitSweep(most time.Duration) {
	over := make(chan struct{})
	h.walks.put(func() { close(over) })
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	}
}

// sweep signals brood's descendants and nobody else: a shell that docker exec
// has brought into the container is none of them.
func (h *Host) sweep(sig syscall.Signal) Swept {
	below, err := h.proc.Descendants(h.self)
	if err != nil {
		return h.sweepBlindly(sig)
	}
	out := Swept{Signal: sig}
	hooks := h.hookGroups()
	parents := make(map[int]proc.Stat, len(below))
	for _, st := range below {
		parents[st.PID] = st
		if st.Ended() || h.reaper.Owns(st.PID) || hooks[st.PGRP] {
			continue
		}
		if (sig == syscall.SIGKILL || !h.sweeper.spared(st, parents)) && h.signalStraggler(st, sig) {
			h.sweeper.tell(keyOf(st))
			out.Signalled++
			if jobStopped(st) {
				h.signalStraggler(st, syscall.SIGCONT)
			}
		}
		out.Left = append(out.Left, Straggler{st.PID, st.Comm})
	}
	return out
}

// sweepBlindly is for a PID 1 that cannot read /proc: everybody but brood gets
// the signal. Anywhere else that would hit strangers.
func (h *Host) sweepBlindly(sig syscall.Signal) Swept {
	if h.self != 1 || !h.reaper.HasChildren() {
		return Swept{Signal: sig}
	}
	out := Swept{Signal: sig, Left: []Straggler{{Comm: "unknown"}}}
	if sig == syscall.SIGKILL || !h.sweeper.all {
		h.sweeper.all = true
		if syscall.Kill(-1, sig) == nil {
			out.Signalled = 1
		}
	}
	return out
}

// signalStraggler signals the very process that was seen. Our own child cannot
// be recycled under the lock of the reaper; a grandchild is pinned by a pidfd.
func (h *Host) signalStraggler(st proc.Stat, sig syscall.Signal) bool {
	same := func() bool {
		now, err := h.proc.Stat(st.PID)
		return err == nil && now.StartTicks == st.StartTicks
	}
	if st.PPID == h.self {
		return h.reaper.SignalAdopted(st.PID, sig, same) == nil
	}
	fd, err := unix.PidfdOpen(st.PID, 0)
	if err != nil {
		// Before Linux 5.3, or refused by a seccomp filter.
		return same() && syscall.Kill(st.PID, sig) == nil
	}
	defer unix.Close(fd)
	if !same() {
		return false
	}
	err = unix.PidfdSendSignal(fd, sig, nil, 0)
	return err == nil || err != unix.ESRCH && syscall.Kill(st.PID, sig) == nil
}

// hookGroups are the process groups of hooks that run: they have time bounds
// of their own.
func (h *Host) hookGroups() map[int]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	groups := make(map[int]bool)
	for ref, p := range h.processes {
		if ref.Kind != KindWorker {
			groups[p.PID()] = true
		}
	}
	return groups
}

// jobStopped reports whether SIGSTOP or its like has stopped a process: any
// other signal but SIGKILL waits until it goes on.
func jobStopped(st proc.Stat) bool { return st.State == 'T' }

// Wake implements System.
func (h *Host) Wake(refs []Ref) {
	h.walks.put(func() {
		for _, ref := range refs {
			p := h.process(ref)
			if p == nil {
				continue
			}
			if st, err := h.proc.Stat(p.PID()); err == nil && jobStopped(st) {
				_ = p.SignalGroup(syscall.SIGCONT) // it has ended meanwhile
			}
		}
	})
}

// Inspect implements System.
func (h *Host) Inspect(refs []Ref) {
	h.walks.put(func() {
		var in Inspected
		for _, ref := range refs {
			p := h.process(ref)
			if p == nil {
				continue
			}
			if st, err := h.proc.Stat(p.PID()); err == nil {
				in.Processes = append(in.Processes, ProcessInfo{
					Ref: ref, PID: st.PID, Comm: st.Comm, State: st.State, ShellChild: h.shellChild(st),
				})
			}
		}
		h.send(in)
	})
}

// shellChild returns the only child of a shell: bash, dash and busybox wait for
// it and pass no signal on.
func (h *Host) shellChild(st proc.Stat) int {
	switch st.Comm {
	case "sh", "bash", "dash", "ash", "ksh", "zsh":
	default:
		return 0
	}
	if only, err := h.proc.Children(st.PID); err == nil && len(only) == 1 {
		return only[0]
	}
	return 0
}
