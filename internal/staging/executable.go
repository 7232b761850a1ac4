package staging

import (
	"fmt"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/self"
)

// executable is brood's own file, by a path that can be executed.
type executable struct {
	path string
	fd   int // what path leads to, -1 if it is a path on a disk
}

func (e *executable) close() { closeOnce(&e.fd) }

// openSelf prefers a descriptor: the file may be replaced, or be out of reach
// of the path in another mount namespace. It needs no right to read the file.
func openSelf(proc string) (executable, error) {
	fd, err := unix.Open(proc+"/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		return executable{path: proc + "/self/fd/" + strconv.Itoa(fd), fd: fd}, nil
	}
	path, err := filepath.Abs(self.StartedAs())
	if err == nil {
		err = unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
	}
	if err != nil {
		return executable{}, fmt.Errorf("cannot find brood's own file without a %s: it was started as %q: %w", proc, self.StartedAs(), err)
	}
	return executable{path: path, fd: -1}, nil
}

// ignoredSignals asks the kernel about each signal. Those with a handler of Go's
// count as not ignored.
func ignoredSignals() uint64 {
	const sigIgn = 1
	var set uint64
	for sig := uintptr(1); sig <= 64; sig++ {
		var action struct {
			handler, flags, restorer uintptr
			mask                     uint64
		}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0)
		if errno == 0 && action.handler == sigIgn {
			set |= 1 << (sig - 1)
		}
	}
	return set
}
