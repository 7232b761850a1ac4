package entrypoint

import (
	"syscall"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/signame"
)

// lastSignal is Linux's last real-time signal.
const lastSignal = syscall.Signal(64)

// defaultAction is what brood does with a signal when no rule says otherwise.
// It is the zero Action for those that no rule can be for.
func defaultAction(sig syscall.Signal) fanout.Action {
	switch class := signame.ClassOf(sig); {
	case class == signame.Stop:
		return fanout.Action{Kind: fanout.ActionStop}
	case sig == syscall.SIGHUP:
		return fanout.Action{Kind: fanout.ActionReload}
	case sig == syscall.SIGTTIN:
		return fanout.Action{Kind: fanout.ActionScaleUp}
	case sig == syscall.SIGTTOU:
		return fanout.Action{Kind: fanout.ActionScaleDown}
	case class == signame.Forwardable:
		return fanout.Action{Kind: fanout.ActionForward, Signal: sig}
	}
	return fanout.Action{}
}

// signalTable is the default table with the rules on top. hangUp is what SIGHUP
// does without a rule: with a controlling terminal it says that the user has
// gone, otherwise it is the usual signal to reload.
func signalTable(rules []SignalRule, hangUp fanout.ActionKind) fanout.SignalTable {
	signals := make(fanout.SignalTable, lastSignal)
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		if action := defaultAction(sig); action != (fanout.Action{}) {
			signals[sig] = action
		}
	}
	signals[syscall.SIGHUP] = fanout.Action{Kind: hangUp}
	for _, rule := range rules {
		signals[rule.From] = rule.Action
	}
	return signals
}
