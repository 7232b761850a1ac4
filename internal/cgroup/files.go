package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxSmall bounds the files that hold one value, and the length of a line
	// elsewhere. A path of the kernel has at most 4096 bytes; /proc/meminfo has
	// 1.5 KiB; a list of every second of 4096 CPUs would not fit, and is unknown.
	maxSmall = 8 << 10
	// maxLarge bounds /proc/self/mountinfo, which has a line for every mount.
	// A busy Kubernetes node's init has some hundred KiB.
	maxLarge = 1 << 20
	// maxTasks is above every limit that the kernel can enforce (PID_MAX_LIMIT
	// is 4194304), and fits an int.
	maxTasks = 1<<31 - 1
)

// reader reads files under a root into one buffer, and keeps what went wrong.
type reader struct {
	root     string
	problems []error
	buf      [maxSmall]byte
}

func (r *reader) problem(err error) { r.problems = append(r.problems, err) }

// failed keeps an error about the file path, unless all that it says is that
// there is no such file: a controller that is not delegated, a kernel without
// it, or (ENODEV) a group that has just been removed.
func (r *reader) failed(path string, err error) {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENODEV) {
		return
	}
	r.problem(fmt.Errorf("cannot read %q: %w", path, err))
}

// open never waits: a FIFO in the place of a file must not hang PID 1. Like read
// and close it is a bare system call: whoever watches the limits reads them every
// few seconds, and each call that the Go runtime is told of wakes up another
// thread of an idle program.
func (r *reader) open(path string) (int, error) {
	name, err := unix.BytePtrFromString(r.root + path)
	if err != nil {
		return 0, err
	}
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	at := unix.AT_FDCWD
	for {
		fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(name)), flags, 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

func closeFile(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// value reads and parses a small file. It is zero when there is no such file or
// nothing to be made of it.
func value[T any](r *reader, path string, parse func([]byte) (T, error)) (v T) {
	fd, err := r.open(path)
	if err != nil {
		r.failed(path, err)
		return v
	}
	// The kernel hands out these files in one piece.
	n, err := read(fd, r.buf[:])
	closeFile(fd)
	if err == nil && n == len(r.buf) {
		err = unix.EFBIG
	}
	if err == nil {
		v, err = parse(r.buf[:n])
	}
	if err != nil {
		r.failed(path, err)
	}
	return v
}

// lines calls each with every line of a file, without its end, until each
// returns false. The line is only valid during the call.
func (r *reader) lines(path string, each func(line []byte) (more bool)) {
	fd, err := r.open(path)
	if err != nil {
		r.failed(path, err)
		return
	}
	err = splitLines(func(p []byte) (int, error) { return read(fd, p) }, r.buf[:], maxLarge, each)
	closeFile(fd)
	if err != nil {
		r.failed(path, err)
	}
}

// splitLines reads until each returns false, until the end, or until limit bytes
// have come (EFBIG), in the space of buf. A line that does not fit in buf is
// left out.
func splitLines(read func([]byte) (int, error), buf []byte, limit int, each func(line []byte) bool) error {
	// The kernel makes up no more lines than were asked for, at 2 us for each
	// mount, so that asking for little pays when the end need not be seen.
	const piece = 1 << 10
	used, total := 0, 0
	tooLong := false // the start of this line has been dropped
	for {
		n, err := read(buf[used:min(used+piece, len(buf))])
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		rest := buf[:used+n]
		for {
			line, after, found := bytes.Cut(rest, []byte{'\n'})
			if !found {
				break
			}
			if !tooLong && !each(line) {
				return nil
			}
			tooLong, rest = false, after
		}
		if len(rest) == len(buf) {
			tooLong, rest = true, nil
		}
		used = copy(buf, rest)
		if total += n; total >= limit {
			return unix.EFBIG
		}
	}
	if used > 0 && !tooLong {
		each(buf[:used])
	}
	return nil
}

func read(fd int, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
