package reaper

import (
	"os"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Status is how a process ended.
type Status struct {
	Code   int            // exit code; 0 when a signal killed it
	Signal syscall.Signal // the signal that killed it; 0 when it exited
	Core   bool           // a core was dumped
}

// ExitCode is the status as a shell and Docker show it: the code, or 128 plus
// the signal's number.
func (s Status) ExitCode() int {
	if s.Signal != 0 {
		return 128 + int(s.Signal)
	}
	return s.Code
}

// Success reports an exit with code 0.
func (s Status) Success() bool { return s == Status{} }

// reapAll reaps until the kernel has nothing more to report.
func (r *Reaper) reapAll() {
	var orphans Orphans
	for {
		pid, err := peek(anyChild, 0)
		if pid == 0 || err != nil {
			break // nothing has ended, or ECHILD: no child at all
		}
		r.mu.Lock()
		p := r.children[pid]
		postpone := p == nil && !r.isOrphanLocked(pid)
		if postpone {
			r.postponeLocked()
		}
		r.mu.Unlock()
		switch {
		case p != nil:
			r.reap(p)
		case postpone:
			// The peek would show it again and again. The start wakes us when it
			// is known.
			r.reapKnown()
			r.report(orphans)
			return
		default:
			// Under the lock, on which SignalAdopted relies.
			r.mu.Lock()
			family, group := r.familyLocked(pid)
			s, ok := wait(pid)
			r.reapedLocked(group)
			r.mu.Unlock()
			if ok {
				orphans.add(s, family)
			}
		}
	}
	r.watchStopped()
	r.report(orphans)
}

// isOrphanLocked reports whether a child that is not known cannot be the one of
// a start under way.
func (r *Reaper) isOrphanLocked(pid int) bool {
	self := os.Getpid()
	switch s := r.starting; {
	case r.left > 0:
		return false
	case s.thread == 0:
		return true
	case s.thread == self || time.Since(s.since) < hanging:
		return false
	}
	// The kernel gives orphans to the first thread that lives (find_new_reaper),
	// which in a Go program is always the very first. What is not in the list is
	// left alone, also where the kernel has no such list.
	first, err := r.proc.Children(self)
	return err == nil && slices.Contains(first, pid)
}

// postponeLocked has zombies looked at when the start under way is over, or
// hangs.
func (r *Reaper) postponeLocked() {
	r.postponed = true
	if r.starting.thread != 0 {
		r.late.Reset(hanging)
	}
}

func (r *Reaper) report(o Orphans) {
	if o.Count > 0 && r.orphans != nil {
		r.orphans(o)
	}
}

// reapKnown asks for each registered child by its PID.
func (r *Reaper) reapKnown() {
	for _, p := range r.known() {
		if pid, err := peek(oneChild, p.pid); err == nil && pid != 0 {
			r.reap(p)
		}
	}
}

func (r *Reaper) known() []*Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Process, 0, len(r.children))
	for _, p := range r.children {
		all = append(all, p)
	}
	return all
}

// reap takes a known zombie away and delivers its exit.
func (r *Reaper) reap(p *Process) {
	exit := Exit{PID: p.pid, At: time.Now(), Final: r.lastFigures(p.pid)}

	r.mu.Lock()
	status, ok := wait(p.pid)
	if !ok {
		r.mu.Unlock()
		return
	}
	exit.Status = status
	p.reaped = true
	delete(r.children, p.pid)
	exit.GroupAlive = p.signalGroupLocked(0) == nil
	if exit.GroupAlive {
		r.families.leave(p.pid, p.family)
	}
	deliver := p.announced
	if !deliver {
		p.withheld = &exit
	}
	r.mu.Unlock()

	if deliver && p.exited != nil {
		p.exited(exit)
	}
}

// lastFigures reads the zombie's stat and io, which still answer. wait4's
// rusage is no substitute: it adds the children that the process waited for.
func (r *Reaper) lastFigures(pid int) Usage {
	var u Usage
	if s, err := r.proc.Stat(pid); err == nil {
		u.Stat = s
	}
	if read, written, err := r.proc.IO(pid); err == nil {
		u.ReadBytes, u.WriteBytes = read, written
	}
	return u
}

// watchStopped looks at the few processes that asked to know about job
// control: their stop is a SIGCHLD too.
func (r *Reaper) watchStopped() {
	for _, p := range r.watched() {
		if info, err := waitid(oneChild, p.pid, unix.WSTOPPED|unix.WNOHANG); err == nil && info.pid != 0 {
			p.stopped(syscall.Signal(info.status))
		}
	}
}

// watched leaves out what is not announced yet: like an exit, a stop does not
// come before the start.
func (r *Reaper) watched() []*Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []*Process
	for _, p := range r.children {
		if p.stopped != nil && p.announced {
			some = append(some, p)
		}
	}
	return some
}

const (
	anyChild = unix.P_ALL
	oneChild = unix.P_PID
)

// peek returns the PID of a zombie and leaves it one, or 0 when there is none.
// The error is ECHILD when there is no such child, ended or not.
func peek(idType, id int) (int, error) {
	info, err := waitid(idType, id, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT)
	return int(info.pid), err
}

// siginfoChild is siginfo_t as waitid(2) fills it, on 64-bit Linux.
type siginfoChild struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	status             int32
	_                  [100]byte
}

func waitid(idType, id, options int) (info siginfoChild, err error) {
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_WAITID, uintptr(idType), uintptr(id),
			uintptr(unsafe.Pointer(&info)), uintptr(options), 0, 0)
		switch errno {
		case 0:
			return info, nil
		case syscall.EINTR:
		default:
			return info, errno
		}
	}
}

// wait reaps the zombie pid. It reports false if that is no zombie of ours.
func wait(pid int) (Status, bool) {
	var ws syscall.WaitStatus
	for {
		got, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, uintptr(pid),
			uintptr(unsafe.Pointer(&ws)), syscall.WNOHANG, 0, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0 || int(got) != pid:
			return Status{}, false
		case ws.Signaled():
			return Status{Signal: ws.Signal(), Core: ws.CoreDump()}, true
		default:
			return Status{Code: ws.ExitStatus()}, true
		}
	}
}
