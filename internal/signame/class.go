package signame

import "syscall"

// Class is what a supervisor can do with a signal.
type Class string

// The classes.
const (
	// Invalid is no signal of Linux.
	Invalid Class = "invalid"
	// Uncatchable are KILL and STOP.
	Uncatchable Class = "uncatchable"
	// Runtime are those that the Go runtime (URG preempts goroutines, PROF takes
	// profiles) or the C library (32 and 33 in glibc, 34 too in musl, golang/go
	// issue 39343) send within a process. They are never passed on.
	Runtime Class = "runtime"
	// Own are CHLD and PIPE, which are about the supervisor's own children and
	// descriptors.
	Own Class = "own"
	// Fatal are those that the kernel sends to a thread for its own fault.
	Fatal Class = "fatal"
	// Stop are TERM, INT and QUIT.
	Stop Class = "stop"
	// Forwardable are all others: they mean what the service makes of them.
	Forwardable Class = "forwardable"
)

// ClassOf tells the class of a signal.
func ClassOf(sig syscall.Signal) Class {
	switch sig {
	case syscall.SIGKILL, syscall.SIGSTOP:
		return Uncatchable
	case syscall.SIGURG, syscall.SIGPROF, 32, 33, rtMin:
		return Runtime
	case syscall.SIGCHLD, syscall.SIGPIPE:
		return Own
	case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS:
		return Fatal
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		return Stop
	}
	if sig < first || sig > last {
		return Invalid
	}
	return Forwardable
}
