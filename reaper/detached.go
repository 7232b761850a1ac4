package reaper

import (
	"fmt"
	"math"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Detached is a process that outlives the one that has started it: the leader
// of a session without a terminal. Its starter may wait for it, and then has no
// Reaper.
type Detached struct {
	pid   int
	ended chan Status

	mu     sync.Mutex
	reaped bool
}

// DetachedSpec says what to start.
type DetachedSpec struct {
	Path string // with a slash in it
	Args []string
	Env  []string
	// Files are the descriptors that it gets as 0, 1, 2 and so on. It gets no
	// other, and those that this process was born with are close-on-exec after.
	Files []uintptr
}

// StartDetached starts a process in the working directory of this one.
func StartDetached(s DetachedSpec) (*Detached, error) {
	// Those of the shell: a lock in it would be held for ever.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		for fd := 3; fd < 1024; fd++ { // before Linux 5.11
			unix.CloseOnExec(fd)
		}
	}
	pid, err := syscall.ForkExec(s.Path, s.Args, &syscall.ProcAttr{
		Env: s.Env, Files: s.Files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start %q: %w", s.Path, err)
	}
	d := &Detached{pid: pid, ended: make(chan Status, 1)}
	go d.wait()
	return d, nil
}

func (d *Detached) wait() {
	defer close(d.ended)
	for {
		err := unix.Waitid(unix.P_PID, d.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return
		}
	}
	// Until here it was running or a zombie, and its PID its own.
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reaped = true
	s, _ := wait(d.pid)
	d.ended <- s
}

// PID is the process's number.
func (d *Detached) PID() int { return d.pid }

// Ended has the process's status once it has ended, and is closed then.
func (d *Detached) Ended() <-chan Status { return d.ended }

// Signal sends sig to the process, if it has not ended.
func (d *Detached) Signal(sig syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reaped {
		return ErrEnded
	}
	return kill(d.pid, sig)
}
