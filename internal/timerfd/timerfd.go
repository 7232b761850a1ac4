// Package timerfd is a timer that wakes up one thread, once.
//
// When a time.Timer fires in an idle program, the Go runtime wakes up two: the
// one that waits for the network, and its monitor, whose sleep ends with the
// first timer at the latest. Together with the thread that the first one starts
// for what may be ready besides, and the looks around before all of them sleep
// again, that makes five context switches or more. A descriptor among those that
// the first thread waits for makes one.
//
// For that to be so, whoever is woken up has to do without the runtime's notice:
// each system call that it is told of wakes up the monitor too. Use bare ones,
// for what cannot block.
package timerfd

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Timer fires once for each Set. Close it. Its methods are safe for concurrent
// use; an error of Set or Wait after Close is os.ErrClosed.
type Timer struct {
	file *os.File
	conn syscall.RawConn
}

// New returns a timer that does not run. It does not count the time that a
// machine sleeps.
func New() (*Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "timer")
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err // only of a file that is closed
	}
	return &Timer{file, conn}, nil
}

// Set lets the timer fire after d, which is positive, and never at the time that
// was set before.
func (t *Timer) Set(d time.Duration) error {
	in := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	var errno syscall.Errno
	err := t.conn.Control(func(fd uintptr) {
		_, _, errno = syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&in)), 0, 0, 0)
	})
	return failure("timerfd_settime", err, errno)
}

// Wait returns when the timer has fired.
func (t *Timer) Wait() error {
	var fired uint64
	var errno syscall.Errno
	err := t.conn.Read(func(fd uintptr) (done bool) {
		_, _, errno = syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&fired)), unsafe.Sizeof(fired))
		return errno != syscall.EAGAIN
	})
	return failure("read", err, errno)
}

func failure(call string, err error, errno syscall.Errno) error {
	switch {
	case err != nil: // of the RawConn, which says so in several ways
		return os.ErrClosed
	case errno != 0:
		return os.NewSyscallError(call, errno)
	}
	return nil
}

// Close ends the timer, and a Wait under way.
func (t *Timer) Close() error { return t.file.Close() }
