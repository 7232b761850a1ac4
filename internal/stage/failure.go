package stage

import (
	"syscall"
	"unsafe"
)

// Step is a part of what a stage does.
type Step uint64

// The steps. StepExec is the exec of the service itself.
const (
	StepFiles Step = iota + 1
	StepLimit
	StepAffinity
	StepSignal
	StepGroups
	StepGID
	StepUID
	StepNoNewPrivs
	StepDeathSignal
	StepExec
)

// Failure is the last word of a stage. One that succeeds says nothing: its end
// of the connection is close-on-exec.
type Failure struct {
	Step   Step
	Detail uint64 // the descriptor, resource, signal or ID, where there is one
	Errno  syscall.Errno
}

// FailureSize is the length of the message that a Failure is.
const FailureSize = 24

// ParseFailure reads the message of a stage.
func ParseFailure(message []byte) (Failure, bool) {
	r := reader{rest: message}
	f := Failure{Step(r.number()), r.number(), syscall.Errno(r.number())}
	return f, !r.bad && len(r.rest) == 0 && f.Step != 0 && f.Errno != 0
}

// send tries once: the message fits, and who does not listen has ended. Like
// all that follows the first attribute it does not allocate.
func (f Failure) send(fd int) {
	var message [FailureSize]byte
	for i, n := range [...]uint64{uint64(f.Step), f.Detail, uint64(f.Errno)} {
		for j := range 8 {
			message[i*8+j] = byte(n >> (8 * j))
		}
	}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&message)), FailureSize, syscall.MSG_NOSIGNAL, 0, 0)
}
