// Package tty is what a job-control parent does with its controlling terminal.
// See tcsetpgrp(3) and termios(3) on SIGTTOU.
package tty

import "golang.org/x/sys/unix"

// BlockTTOU blocks SIGTTOU on the calling thread, which the caller must have
// locked and never unlock. A background process that writes to a terminal with
// "tostop", or hands it to another group, gets that signal; while a Go program
// handles it the kernel restarts the call for ever (246,806 signals in two
// seconds were counted). With the signal blocked the call succeeds.
func BlockTTOU() {
	var set unix.Sigset_t
	set.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil) // cannot fail with these arguments
}

// IsControlling reports whether fd is our controlling terminal.
func IsControlling(fd int) bool {
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil
}

// IsTerminal reports whether fd is any terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// Controlling reports whether we have a controlling terminal: tty(4).
func Controlling() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// IsForeground reports whether our process group is the foreground of the
// terminal.
func IsForeground(fd int) bool {
	foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// SetForeground makes a process group the foreground of the terminal. Call it
// on a thread that has called BlockTTOU.
func SetForeground(fd, pgrp int) error {
	return unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, pgrp)
}
