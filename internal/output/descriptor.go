package output

import (
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/tty"
)

// atOnce is how much is written at once: PIPE_BUF of pipe(7), so that what
// others write to the same pipe, as brood's own log does, never lands inside of
// a line that is not longer than that.
const atOnce = 4096

// descriptor writes to a file as it is at the moment. It may become
// non-blocking at any time, by the hand of anybody who shares it, which an
// *os.File does not expect.
type descriptor struct {
	file *os.File // kept from being collected
	fd   int
}

// Write implements io.Writer.
func (d descriptor) Write(p []byte) (written int, err error) {
	for written < len(p) {
		n, err := syscall.Write(d.fd, p[written:])
		if n > 0 {
			written += n
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLOUT}}
			_, _ = unix.Poll(fds, -1)
		default:
			return written, err
		}
	}
	return written, nil
}

// writerTo says how to write to out, and whether that is our terminal.
func writerTo(out io.Writer) (w io.Writer, terminal bool) {
	file, ok := out.(*os.File)
	if !ok {
		return out, false
	}
	fd := int(file.Fd())
	return descriptor{file, fd}, tty.IsControlling(fd)
}

// ownThread keeps the calling goroutine on a thread with SIGTTOU blocked, which
// ends with it; see tty.BlockTTOU.
func ownThread() {
	runtime.LockOSThread()
	tty.BlockTTOU()
}

// sameFile reports whether both are the same pipe, file or terminal.
func sameFile(a, b io.Writer) bool {
	fileA, okA := a.(*os.File)
	fileB, okB := b.(*os.File)
	if !okA || !okB {
		return false
	}
	statA, errA := fileA.Stat()
	statB, errB := fileB.Stat()
	return errA == nil && errB == nil && os.SameFile(statA, statB)
}
