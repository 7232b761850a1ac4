package pidfiles

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
)

// clockSlack is how much later than its file a process may seem to have
// started. Start times come in ticks of 10 ms and file times from a clock that
// is a tick old; the rest is for a wall clock that is being adjusted.
const clockSlack = time.Second

// identify finds the process that a claim is about, or says why there is none
// to be trusted. The order matters: once the pidfd is open, and for as long as
// it says that its process lives, /proc/PID can be nobody else's.
func (d *Dir) identify(c claim) (*Registered, *Problem) {
	if c.pid == d.sys.PID() {
		return nil, d.identifySelf(c)
	}
	fd, problem := d.openPidfd(c)
	if problem != nil {
		return nil, problem
	}
	r := &Registered{PID: c.pid, fd: fd, sys: d.sys, degraded: &d.degraded}
	if problem := d.verify(c, r); problem != nil {
		r.Close()
		return nil, problem
	}
	return r, nil
}

func (d *Dir) verify(c claim, r *Registered) *Problem {
	stat, err := d.sys.Proc.Stat(c.pid)
	if err != nil {
		// With a living pidfd, "no such process" means hidden by hidepid=.
		if proc.Gone(err) && (r.fd < 0 || readable(r.fd)) {
			return c.problem(Stale, fmt.Errorf("process %d is gone", c.pid))
		}
		return c.problem(Unreadable, fmt.Errorf("cannot tell who process %d is: %w", c.pid, err))
	}
	if !d.startedBefore(stat.StartTicks, c.wrote) {
		return c.problem(Recycled, fmt.Errorf("process %d (%s) started after the file was written", c.pid, stat.Comm))
	}
	if problem := d.checkOwner(c); problem != nil {
		return problem
	}
	if r.fd < 0 {
		// Without a pidfd nobody has told us yet that this is no thread.
		if tgid, err := d.sys.Proc.TGID(c.pid); err != nil {
			return c.problem(Unreadable, fmt.Errorf("cannot tell who process %d is: %w", c.pid, err))
		} else if tgid != c.pid {
			return threadProblem(c)
		}
	}
	r.StartTicks, r.Comm = stat.StartTicks, stat.Comm
	if stat.Ended() || (r.fd >= 0 && readable(r.fd)) {
		return c.problem(Stale, fmt.Errorf("process %d has ended", c.pid))
	}
	return nil
}

// openPidfd returns -1 where the kernel, a filter or a limit refuses pidfds.
func (d *Dir) openPidfd(c claim) (int, *Problem) {
	fd, err := d.sys.PidfdOpen(c.pid)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ESRCH):
		return -1, c.problem(Stale, fmt.Errorf("process %d is gone", c.pid))
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT): // the latter since Linux 6.15
		return -1, threadProblem(c)
	}
	// ENOSYS before Linux 5.3 and in gVisor, EPERM from older seccomp profiles,
	// EMFILE when we are short of descriptors: no reason to forget the process.
	d.degraded.Store(true)
	return -1, nil
}

func threadProblem(c claim) *Problem {
	return c.problem(Thread, fmt.Errorf("%d is a thread, not a process", c.pid))
}

// identifySelf tells a file that names us from one that named a process of an
// earlier life with the PID that is ours now, as happens to a container's PIDs
// when it starts again on the same volume.
func (d *Dir) identifySelf(c claim) *Problem {
	stat, err := d.sys.Proc.Stat(c.pid)
	if err == nil && !d.startedBefore(stat.StartTicks, c.wrote) {
		return c.problem(Recycled, fmt.Errorf("process %d, which is we, started after the file was written", c.pid))
	}
	return c.problem(Self, fmt.Errorf("process %d is the one that looks", c.pid))
}

// startedBefore believes either of two wall clocks, now's and that of our own
// start: one that was set in between must not make living processes strangers.
func (d *Dir) startedBefore(startTicks uint64, wrote time.Time) bool {
	latest := wrote.Add(clockSlack)
	fits := func(offset time.Duration) bool {
		return !proc.Clock{Offset: offset}.Started(startTicks).After(latest)
	}
	return fits(d.opened) || fits(d.sys.BootOffset())
}

// checkOwner asks whether the one who wrote the file could have signalled the
// process himself, so that he gains nothing by making us do it.
func (d *Dir) checkOwner(c claim) *Problem {
	if c.owner == 0 || int(c.owner) == d.sys.EUID() {
		return nil
	}
	real, _, saved, err := d.sys.Proc.UIDs(c.pid)
	if err != nil {
		return c.problem(Unreadable, fmt.Errorf("cannot tell whose process %d is: %w", c.pid, err))
	}
	if c.owner != real && c.owner != saved {
		return c.problem(Foreign, fmt.Errorf("uid %d owns it, process %d belongs to uid %d", c.owner, c.pid, real))
	}
	return nil
}

// readable reports whether a pidfd says that its process has ended; a zombie
// has. A poll that fails says nothing.
func readable(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLIN != 0
}
