// Package proc reads what Linux tells about processes under /proc: who they
// are, whose children, how much they use, and when they started.
//
// Every answer is a snapshot of a moving thing. A process may end between two
// calls, and its number may belong to another one afterwards; a caller that
// acts on an answer has to hold a pidfd, or compare start times, as well.
//
// All functions may be called from any goroutine.
package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// FS is the directory where a proc(5) file system is mounted. The zero value
// means /proc; tests point it at a directory of fixtures.
type FS string

// Gone reports whether err, from one of this package's functions, says that
// the process does not exist: no directory (ENOENT), or one whose process ended
// between open and read (ESRCH). A mount with hidepid= answers ENOENT for
// living processes of other users too.
func Gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}

// None is a /proc that tells nothing: every read fails.
const None FS = "/dev/null"

// Ours returns fs if it shows the processes of our own PID namespace, and None
// if it does not: because nothing is mounted there, or because it is that of
// the namespace outside, whose numbers are strangers to us.
func (fs FS) Ours() FS {
	self, err := os.Readlink(fs.root() + "/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return None
	}
	return fs
}

func (fs FS) root() string {
	if fs == "" {
		return "/proc"
	}
	return string(fs)
}

// read fills buf from the start of the file called name of process pid. One
// read(2) is enough: the kernel hands out these files by the page, and every
// caller's buffer is large enough for what it looks for.
func (fs FS) read(pid int, name string, buf []byte) (int, error) {
	var space [64]byte
	path := append(space[:0], fs.root()...)
	path = append(path, '/')
	path = strconv.AppendInt(path, int64(pid), 10)
	path = append(path, '/')
	path = append(path, name...)

	fd, err := unix.Open(string(path), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, unreadable(fs, pid, name, err)
	}
	n, err := unix.Read(fd, buf)
	_ = unix.Close(fd)
	if err != nil {
		return 0, unreadable(fs, pid, name, err)
	}
	return n, nil
}

func unreadable(fs FS, pid int, name string, err error) error {
	return fmt.Errorf("cannot read %q: %w", fs.root()+"/"+strconv.Itoa(pid)+"/"+name, err)
}

// decimal is the value of b when b is nothing but ASCII digits, at least one,
// and fits. strconv would want a string and takes signs and underscores.
func decimal(b []byte) (value uint64, ok bool) {
	const limit = 1<<64 - 1
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := uint64(c - '0')
		if value > (limit-digit)/10 {
			return 0, false
		}
		value = value*10 + digit
	}
	return value, len(b) > 0
}
