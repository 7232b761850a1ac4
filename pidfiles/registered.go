package pidfiles

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
)

// Registered is a living process that a PID file names, verified. It holds a
// pidfd where the kernel gives one; whoever got it closes it. Its methods may
// be called from any goroutine.
type Registered struct {
	Index      int   // the lowest of Indices; -1 for a master
	Indices    []int // of all the files that name it, ascending
	PID        int
	StartTicks uint64 // as in proc.Stat
	Comm       string // its name when it was looked at

	sys      Sys
	degraded *atomic.Bool

	mu     sync.Mutex
	fd     int // -1 without pidfd, and when closed
	closed bool
}

// ID tells one process from all others of the same boot, those that get its
// PID later included. It may serve as a map key.
type ID struct {
	PID        int
	StartTicks uint64
}

// ID identifies the process across calls of List.
func (r *Registered) ID() ID { return ID{r.PID, r.StartTicks} }

// FD is the pidfd, which polls as readable once the process has ended, or -1
// where there is none. It stays the Registered's own: it is invalid after
// Close.
func (r *Registered) FD() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fd
}

// Close gives the pidfd back. The second and further calls do nothing.
func (r *Registered) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fd := r.fd
	r.fd, r.closed = -1, true
	if fd < 0 {
		return nil
	}
	return unix.Close(fd)
}

// Ended reports whether the process has ended; a zombie has. Without a pidfd
// it looks at /proc, and a process that cannot be looked at has not ended.
func (r *Registered) Ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd >= 0 {
		return readable(r.fd)
	}
	return r.endedByStat()
}

// Signal sends a signal to the process and to no other one, whoever has its PID
// by now. The error is ErrEnded when it is gone; a zombie may still take the
// signal, without effect. After Close it is an error of its own.
func (r *Registered) Signal(signal syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.send(signal); err != nil {
		return fmt.Errorf("cannot signal process %d (%s): %w", r.PID, r.Comm, err)
	}
	return nil
}

var errClosed = errors.New("its handle is closed")

func (r *Registered) send(signal syscall.Signal) error {
	if r.closed {
		return errClosed
	}
	if r.fd >= 0 {
		err := r.sys.PidfdSendSignal(r.fd, signal)
		switch {
		case errors.Is(err, unix.ESRCH):
			return ErrEnded
		case !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM):
			return err
		}
		// EPERM is the kernel's answer or a seccomp filter's; kill will tell.
		if readable(r.fd) {
			return ErrEnded
		}
	}
	if r.endedByStat() {
		return ErrEnded
	}
	err := r.sys.Kill(r.PID, signal)
	if errors.Is(err, unix.ESRCH) {
		return ErrEnded
	}
	if err == nil {
		r.degraded.Store(true)
	}
	return err
}

func (r *Registered) endedByStat() bool {
	stat, err := r.sys.Proc.Stat(r.PID)
	if err != nil {
		return proc.Gone(err)
	}
	return stat.StartTicks != r.StartTicks || stat.Ended()
}
