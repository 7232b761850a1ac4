package pidfiles

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrTaken: the file names a living process that the caller has not put
	// there. It comes as a *ClaimError.
	ErrTaken = errors.New("a living process is registered there")

	// ErrMasterAlive: another process holds the lock on the master's file. It
	// comes as a *ClaimError.
	ErrMasterAlive = errors.New("its master is alive")

	// ErrUntrusted: others could write to the directory. It comes as an
	// *UntrustedError.
	ErrUntrusted = errors.New("directory cannot be trusted")

	// ErrEnded: the process to be signalled has ended.
	ErrEnded = errors.New("process has ended")
)

// ClaimError says who has the file that the caller wanted. It unwraps to
// ErrTaken or ErrMasterAlive.
type ClaimError struct {
	Path string
	PID  int // 0 when it could not be read
	Err  error
}

func (e *ClaimError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("cannot claim %q: %v, PID unknown", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot claim %q: %v, PID %d", e.Path, e.Err, e.PID)
}

// Unwrap returns ErrTaken or ErrMasterAlive.
func (e *ClaimError) Unwrap() error { return e.Err }

// UntrustedError says why the PID files in a directory prove nothing, and what
// to do about it. It unwraps to ErrUntrusted.
type UntrustedError struct {
	Dir    string
	Reason string // such as "uid 1000 owns it"
	Remedy string // such as "name another directory"
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("cannot trust directory %q: %s: %s", e.Dir, e.Reason, e.Remedy)
}

// Unwrap returns ErrUntrusted.
func (e *UntrustedError) Unwrap() error { return ErrUntrusted }

// Kind says what is wrong with a file. The values may serve as labels.
type Kind string

// All kinds of problems.
const (
	Stale      Kind = "stale"      // its process is gone or a zombie
	Recycled   Kind = "recycled"   // its PID belongs to a process that started later
	Foreign    Kind = "foreign"    // its owner could not signal the process
	Malformed  Kind = "malformed"  // its content is not one number above 1
	Self       Kind = "self"       // it names the process that looks
	Thread     Kind = "thread"     // it names a thread
	NotFile    Kind = "not-a-file" // a link, a directory, a pipe, a device
	Unreadable Kind = "unreadable" // it, its process or the directory cannot be looked at
	Unremoved  Kind = "unremoved"  // it should be gone, and cannot be removed

	// vanished is no problem and never leaves the package: the file was removed
	// between the listing and the look.
	vanished Kind = "vanished"
)

// Problem is a file that is not acted upon, and why. It is an error, as a value
// and by its pointer.
type Problem struct {
	Path string
	Kind Kind
	PID  int   // as claimed; 0 when nothing sensible is
	Err  error // the reason in words, never nil
}

func (p Problem) Error() string { return fmt.Sprintf("cannot use PID file %q: %v", p.Path, p.Err) }

// Unwrap returns the reason.
func (p Problem) Unwrap() error { return p.Err }

// Key stays the same for as long as the same thing is wrong with the same file,
// whatever PID it claims: log what has a new Key, count the rest.
func (p Problem) Key() string { return string(p.Kind) + " " + p.Path }
