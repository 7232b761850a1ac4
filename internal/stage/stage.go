// Package stage is what a worker is between brood's fork and the exec of the
// service: brood itself, executed once more. Only there is the worker's PID
// known to a program that can still write it into the environment, and only
// there can some attributes be set. Package staging is the parent's side.
//
// It is the one package of the project with an init that acts. The imports are
// syscall alone, so its turn comes before those of os, net and everything that
// is built on them (Go 1.21 and later initialise in the order of import paths
// what is ready): the stage pays for the start of the Go runtime and nothing
// else. Without the variable Marker init is one look-up.
//
// Why one thread is enough. Credentials, capabilities, no_new_privs, the CPU
// affinity and the parent-death signal belong to a thread, and Go's
// syscall.Setuid goes to some length to change them in all threads. Here the
// bare system calls change the calling thread only. That is the main one, to
// which the runtime locks the goroutine that runs init functions; it is the one
// that calls execve, which ends all others and keeps the credentials of its
// caller (execve(2)). The others never run code of ours in between.
//
// Why execve is called bare. syscall.Exec keeps the runtime from making a
// thread meanwhile, but allocates, which a limit set just before may forbid.
// Here the runtime makes none: the stage runs with GOMAXPROCS=1, and the one
// processor belongs to this goroutine until the end, because bare system calls
// do not give it away. Nothing is allocated once the first attribute is set.
package stage

import (
	"syscall"
	"unsafe"
)

// Marker is the variable that makes a process a stage. Its value is made by
// Environment; it is never in the environment of a worker.
const Marker = "_BROOD_STAGE"

// exitRefused is brood's own failure, as in the table of exit codes.
const exitRefused = 125

func init() {
	if value, found := syscall.Getenv(Marker); found {
		enter(value)
	}
}

// Environment is the whole environment of a stage that is a child of parent and
// finds its end of the connection at descriptor fd. The garbage collector has
// nothing to do in a millisecond; the package comment says why GOMAXPROCS is 1.
func Environment(fd, parent int) []string {
	return []string{Marker + "=" + itoa(fd) + ":" + itoa(parent), "GOMAXPROCS=1", "GOGC=off"}
}

// enter never returns.
func enter(marker string) {
	fd, parent, ok := genuine(marker)
	if !ok {
		refuse("this process was not started by brood, unset it")
	}
	setCloseOnExec(fd)
	o, ok := receive(fd)
	if !ok {
		refuse("brood did not say what to start")
	}
	failure := o.perform(&fd, parent)
	failure.send(fd)
	exit(exitRefused)
}

// genuine tells a stage from a process that has found the variable in its
// environment: the named parent is ours, and it has made the socket too.
func genuine(marker string) (fd, parent int, ok bool) {
	for i := range len(marker) {
		if marker[i] != ':' {
			continue
		}
		fd, fdOK := atoi(marker[:i])
		parent, parentOK := atoi(marker[i+1:])
		if !fdOK || !parentOK || parent != syscall.Getppid() {
			return 0, 0, false
		}
		maker, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		return fd, parent, err == nil && int(maker.Pid) == parent
	}
	return 0, 0, false
}

// receive reads the order: its length, then its bytes.
func receive(fd int) (*order, bool) {
	head := make([]byte, 8)
	if !readFull(fd, head) {
		return nil, false
	}
	r := reader{rest: head}
	n := r.number()
	if n > maxOrder {
		return nil, false
	}
	body := make([]byte, n)
	if !readFull(fd, body) {
		return nil, false
	}
	return decode(body)
}

func readFull(fd int, into []byte) bool {
	for len(into) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&into[0])), uintptr(len(into)))
		switch {
		case errno == syscall.EINTR:
		case errno != 0 || n == 0:
			return false
		default:
			into = into[n:]
		}
	}
	return true
}

func refuse(why string) {
	line := []byte("brood: " + Marker + " is brood's own variable: " + why + "\n")
	_, _ = syscall.Write(2, line) // there is nobody else to tell
	exit(exitRefused)
}

func exit(code int) {
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
}

func setCloseOnExec(fd int) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, syscall.FD_CLOEXEC)
}

// atoi and itoa are strconv's, which this package does without.
func atoi(text string) (int, bool) {
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' || n > 1<<30 {
			return 0, false
		}
		n = n*10 + int(text[i]-'0')
	}
	return n, text != ""
}

func itoa(n int) string {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(digits[i:])
		}
	}
}
