// Package sigsink makes signals harmless that os/signal knows nothing about.
//
// The runtime leaves 32 and 34 to the C library, and to the kernel's default,
// which is the end of the process (golang/go issues 6997 and 39343). PID 1 is
// spared that, but not always: what makes the kernel drop such a signal for an
// init is looked up for its first thread, and skipped while that thread has the
// signal blocked, as the runtime has each time it forks or makes a thread. Then
// another thread gets it, and all die (complete_signal in kernel/signal.c, Linux
// 6.18). To ignore them would be inherited by all that is executed; a handler is
// not.
package sigsink

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// action is struct sigaction of the kernel on amd64 and arm64, see
// rt_sigaction(2).
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// From include/uapi/asm-generic/signal-defs.h and arch/x86.
const (
	onStack  = 0x08000000 // a goroutine's own stack is too small
	restart  = 0x10000000
	restorer = 0x04000000
)

// nothing is where the handler is: it returns.
var nothing uintptr

// Drop gives each of signals a handler that does nothing, unless it has one or is
// ignored. A blocked system call goes on after it.
func Drop(signals ...syscall.Signal) error {
	// Where the kernel needs to be told how to return from a handler, the runtime
	// has told it that for its own.
	runtimes, err := change(syscall.SIGURG, nil)
	if err != nil {
		return err
	}
	drop := action{handler: nothing, flags: onStack | restart | runtimes.flags&restorer, restorer: runtimes.restorer}
	for _, sig := range signals {
		now, err := change(sig, nil)
		if err != nil {
			return err
		}
		if now.handler != 0 {
			continue
		}
		if _, err := change(sig, &drop); err != nil {
			return err
		}
	}
	return nil
}

// change is rt_sigaction(2) and returns what was before. With nil it only looks.
func change(sig syscall.Signal, to *action) (before action, err error) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(to)),
		uintptr(unsafe.Pointer(&before)), unsafe.Sizeof(before.mask), 0, 0)
	if errno != 0 {
		return before, fmt.Errorf("cannot change what signal %d does: %w", sig, errno)
	}
	return before, nil
}
