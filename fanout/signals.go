package fanout

import "syscall"

// Action is what brood does when a signal arrives.
type Action struct {
	Kind ActionKind
	// Signal is what workers get when Kind is ActionForward: the arrived
	// signal itself, or the one it is rewritten to.
	Signal syscall.Signal
}

// ActionKind is one of the things a signal can do.
type ActionKind string

// The action kinds, spelled as the signal setting spells them.
const (
	ActionStop    ActionKind = "stop"
	ActionForward ActionKind = "forward"
	ActionIgnore  ActionKind = "ignore"

	ActionReload    ActionKind = "reload"
	ActionScaleUp   ActionKind = "scale-up"
	ActionScaleDown ActionKind = "scale-down"
)

// SignalTable maps each signal number to its action. A signal that is absent
// is ignored: brood's own (CHLD, PIPE, URG), the fatal ones, and what the
// runtime keeps for itself.
type SignalTable map[syscall.Signal]Action
