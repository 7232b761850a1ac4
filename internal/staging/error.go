package staging

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/stage"
)

// Error says what of a start has failed on the stage. It wraps the errno.
type Error struct {
	Path string
	// What could not be done, such as "become user 1000"; empty if the file
	// itself could not be executed.
	What string
	Err  unix.Errno
}

func (e *Error) Error() string {
	if e.What == "" {
		return fmt.Sprintf("cannot start %q: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot start %q: cannot %s: %v", e.Path, e.What, e.Err)
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Err }

func (c *Command) explain(f stage.Failure) error {
	e := &Error{Path: c.Path, Err: f.Errno}
	switch f.Step {
	case stage.StepExec:
	case stage.StepFiles:
		e.What = fmt.Sprintf("pass descriptor %d", f.Detail)
	case stage.StepLimit:
		for _, l := range c.Limits {
			if l.resource == int(f.Detail) {
				e.What = "set the limit " + l.String()
			}
		}
	case stage.StepAffinity:
		e.What = "bind it to its CPUs"
	case stage.StepSignal:
		e.What = fmt.Sprintf("ignore signal %d", f.Detail)
	case stage.StepGroups:
		e.What = fmt.Sprintf("take the groups %v of user %d", c.User.Groups, c.User.UID)
	case stage.StepGID:
		e.What = fmt.Sprintf("become group %d", f.Detail)
	case stage.StepUID:
		e.What = fmt.Sprintf("become user %d", f.Detail)
	case stage.StepNoNewPrivs:
		e.What = "forbid new privileges"
	case stage.StepDeathSignal:
		e.What = "have it killed when brood dies"
	default:
		e.What = fmt.Sprintf("do step %d", f.Step)
	}
	return e
}
