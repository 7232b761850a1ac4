package entrypoint

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/signame"
)

// SignalRule says what to do when From arrives.
type SignalRule struct {
	From   syscall.Signal
	Action fanout.Action
}

// String is the rule as the setting takes it.
func (r SignalRule) String() string {
	action := string(r.Action.Kind)
	if r.Action.Kind == fanout.ActionForward && r.Action.Signal != r.From {
		action = signame.Name(r.Action.Signal)
	}
	return signame.Name(r.From) + "=" + action
}

func addSignal(earlier []SignalRule, text string) ([]SignalRule, error) {
	left, right, ok := strings.Cut(text, "=")
	from, err := signame.Parse(strings.TrimSpace(left))
	if !ok || err != nil {
		return nil, errors.New("want FROM=ACTION, such as USR1=INT: a signal, and forward, ignore, stop or another signal")
	}
	if defaultAction(from) == (fanout.Action{}) {
		return nil, fmt.Errorf("%s is %s, want one that brood can act on", signame.Name(from), kept(signame.ClassOf(from)))
	}
	action, err := parseAction(from, strings.TrimSpace(right))
	if err != nil {
		return nil, err
	}
	rule := SignalRule{from, action}
	for _, other := range earlier {
		switch {
		case other == rule:
			return earlier, nil
		case other.From == from:
			return nil, fmt.Errorf("%s is there already, give each signal one action", other)
		}
	}
	return append(earlier, rule), nil
}

func parseAction(from syscall.Signal, text string) (fanout.Action, error) {
	// In small letters only: STOP is a signal.
	switch kind := fanout.ActionKind(text); kind {
	case fanout.ActionForward:
		return fanout.Action{Kind: kind, Signal: from}, nil
	case fanout.ActionIgnore, fanout.ActionStop, fanout.ActionReload, fanout.ActionScaleUp, fanout.ActionScaleDown:
		return fanout.Action{Kind: kind}, nil
	}
	sig, err := signame.Parse(text)
	if err != nil {
		return fanout.Action{}, errors.New("want forward, ignore, stop, reload, scale-up, scale-down or a signal such as INT after =")
	}
	if err := checkSendable(sig); err != nil {
		return fanout.Action{}, err
	}
	return fanout.Action{Kind: fanout.ActionForward, Signal: sig}, nil
}

// kept says why there can be no rule for signals of the class.
func kept(class signame.Class) string {
	switch class {
	case signame.Uncatchable:
		return "never seen by any process"
	case signame.Fatal:
		return "the kernel's answer to a fault"
	}
	return "kept by brood and its runtime"
}

// parseStopSignal returns 0 for the signal that arrived.
func parseStopSignal(text string) (syscall.Signal, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "arrived") {
		return 0, nil
	}
	sig, err := signame.Parse(text)
	if err != nil {
		return 0, errors.New("want a signal such as QUIT, SIGQUIT or 3, or arrived")
	}
	return sig, checkSendable(sig)
}

// checkSendable refuses to send workers what they cannot handle.
func checkSendable(sig syscall.Signal) error {
	switch signame.ClassOf(sig) {
	case signame.Uncatchable:
		return fmt.Errorf("workers cannot handle %s, want another signal", signame.Name(sig))
	case signame.Runtime:
		return fmt.Errorf("%s belongs to runtimes and the C library, want another signal", signame.Name(sig))
	}
	return nil
}
