package reaper

import (
	"errors"
	"syscall"
)

// ErrEnded is returned for a process that has been reaped, or a group that has
// no member left. Nothing was signalled.
var ErrEnded = errors.New("process has ended")

// ErrStarting is returned for a child that may be the one being started.
var ErrStarting = errors.New("process may be one that is being started")

// Process is a child started by a Reaper. All methods are safe for concurrent
// use and never block.
type Process struct {
	reaper  *Reaper
	pid     int
	family  int
	exited  func(Exit)
	stopped func(by syscall.Signal)

	// Guarded by reaper.mu.
	announced bool  // Started has returned
	withheld  *Exit // the exit of a process that was not announced yet
	reaped    bool
	groupGone bool // the group was seen empty after the leader was reaped
}

// PID is the process's number. After the exit it may belong to a stranger: use
// Signal and SignalGroup, which know.
func (p *Process) PID() int { return p.pid }

// Signal sends sig to the process. ErrEnded says that it has been reaped; a
// zombie swallows the signal.
func (p *Process) Signal(sig syscall.Signal) error {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaped {
		return ErrEnded
	}
	return kill(p.pid, sig)
}

// SignalGroup sends sig to every member of the process's group, the process
// itself included. It also reaches what the process has left behind; ErrEnded
// says that nothing is left.
func (p *Process) SignalGroup(sig syscall.Signal) error {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	return p.signalGroupLocked(sig)
}

// GroupAlive reports whether any member of the group is left.
func (p *Process) GroupAlive() bool { return p.SignalGroup(0) == nil }

// signalGroupLocked guards against a recycled number. While members are left
// the kernel cannot give the number to a new process, so a process of that
// number after the leader was reaped proves that the group has been empty.
func (p *Process) signalGroupLocked(sig syscall.Signal) error {
	if p.groupGone {
		return ErrEnded
	}
	if p.reaped && kill(p.pid, 0) != syscall.ESRCH {
		p.groupGone = true
		delete(p.reaper.families.left, p.pid)
		return ErrEnded
	}
	err := kill(-p.pid, sig)
	if p.reaped && err == syscall.ESRCH {
		p.groupGone = true
		delete(p.reaper.families.left, p.pid)
		return ErrEnded
	}
	return err
}

// announce delivers an exit that came before Started had returned.
func (p *Process) announce() {
	p.reaper.mu.Lock()
	p.announced = true
	exit := p.withheld
	p.withheld = nil
	p.reaper.mu.Unlock()
	if p.stopped != nil {
		p.reaper.kick() // it may have been stopped already
	}
	if exit != nil && p.exited != nil {
		p.exited(*exit)
	}
}

// disown ends a process that has not been confirmed and makes its exit nobody's
// news.
func (p *Process) disown() {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	p.exited, p.stopped, p.withheld = nil, nil, nil
	if !p.reaped {
		_ = kill(p.pid, syscall.SIGKILL) // it is ours: a zombie at worst
	}
}

// SignalAll sends sig to each process, or with group to each one's group, all
// under one lock and with nothing in between. The result is how many took it.
func (r *Reaper) SignalAll(processes []*Process, sig syscall.Signal, group bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range processes {
		var err error
		switch {
		case group:
			err = p.signalGroupLocked(sig)
		case p.reaped:
			err = ErrEnded
		default:
			err = kill(p.pid, sig)
		}
		if err == nil {
			n++
		}
	}
	return n
}

// SignalAdopted sends sig to a child of brood that nobody started here, an
// orphan that was re-parented to it. If it might be a process that is being
// started the error is ErrStarting. check runs under the lock that guards
// reaping, so what it finds out about the PID still holds when it is
// signalled; it must not block.
func (r *Reaper) SignalAdopted(pid int, sig syscall.Signal, check func() bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.children[pid] != nil || !r.isOrphanLocked(pid) {
		return ErrStarting // it may be a process of ours that is not known yet
	}
	if !check() {
		return ErrEnded
	}
	return kill(pid, sig)
}

// Owns reports whether pid is a child started here and not reaped yet.
func (r *Reaper) Owns(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.children[pid] != nil
}

// kill is the bare system call: it cannot block, so the scheduler need not be
// told.
func kill(pid int, sig syscall.Signal) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_KILL, uintptr(pid), uintptr(sig), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
