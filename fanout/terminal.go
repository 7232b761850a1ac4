package fanout

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/tty"
)

// terminal hands brood's terminal to the foreground worker and back. Whoever is
// in the background and calls tcsetpgrp gets SIGTTOU, and while that signal is
// handled the kernel restarts the call for ever: so all of this happens on one
// thread that has it blocked. Workers start from another one and inherit
// nothing of that.
type terminal struct {
	fd   int
	work *mailbox[func()]
}

func newTerminal(fd int, stop <-chan struct{}) *terminal {
	t := &terminal{fd: fd, work: newMailbox[func()]()}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its mask
		tty.BlockTTOU()
		for {
			do, ok := t.work.take(stop)
			if !ok {
				return
			}
			do()
		}
	}()
	return t
}

// ours reports whether brood is the terminal's foreground.
func (t *terminal) ours() bool { return tty.IsForeground(t.fd) }

func (t *terminal) give(pgrp int) {
	_ = tty.SetForeground(t.fd, pgrp) // fails when the group or the terminal is gone
}

// TakeTerminal implements System.
func (h *Host) TakeTerminal() {
	if h.tty != nil {
		h.tty.work.put(func() { h.tty.give(unix.Getpgrp()) })
	}
}

// GiveTerminal implements System.
func (h *Host) GiveTerminal(ref Ref) {
	if p := h.process(ref); p != nil && h.tty != nil {
		h.tty.work.put(func() {
			if h.tty.ours() {
				h.tty.give(p.PID())
			}
		})
	}
}

// underJobControl reports whether somebody above us would notice that we have
// stopped, and could resume us: our parent is in our session and in another
// process group, as a shell with job control is. Otherwise the process group is
// orphaned (credentials(7)), and who stops there stays so.
func underJobControl() bool {
	parent := os.Getppid()
	if os.Getpid() == 1 || parent == 0 {
		return false
	}
	ours, err := unix.Getsid(0)
	theirs, err2 := unix.Getsid(parent)
	group, err3 := unix.Getpgid(parent)
	return err == nil && err2 == nil && err3 == nil && ours == theirs && group != unix.Getpgrp()
}

// Suspend implements System. The shell above takes the terminal when brood
// stops, and sends SIGCONT when it gives it back. Where no such shell is above,
// as for PID 1, the worker goes on.
func (h *Host) Suspend(ref Ref, by syscall.Signal) {
	p := h.process(ref)
	if h.tty == nil || p == nil {
		return
	}
	h.tty.work.put(func() {
		if (by == syscall.SIGTTIN || by == syscall.SIGTTOU) && h.tty.ours() {
			h.tty.give(p.PID())
		} else if underJobControl() && syscall.Kill(os.Getpid(), syscall.SIGSTOP) == nil {
			return
		}
		h.Signal([]Ref{ref}, syscall.SIGCONT, true)
	})
}
