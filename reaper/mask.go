package reaper

import (
	"golang.org/x/sys/unix"
)

// deafen blocks all signals in the calling thread but those that are its own
// faults, which Go makes panics of. The kernel offers a child's SIGCHLD to the
// thread that has started it before all others (do_notify_parent): one that
// hangs on a disk would take the news of every exit, and keep it.
func deafen() {
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	for _, fault := range []unix.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV} {
		all.Val[0] &^= 1 << (fault - 1)
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil) // it has no way to fail
}

// currentMask is what the calling thread blocks: in any other than the starting
// thread, what brood was born with.
func currentMask() (mask unix.Sigset_t) {
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, nil, &mask)
	return mask
}

// withMask calls f while the calling thread blocks the signals in mask: that is
// what a process gets from the thread that starts it.
func withMask(mask *unix.Sigset_t, f func()) {
	var before unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, mask, &before)
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	f()
}
