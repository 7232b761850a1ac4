package fanout

import (
	"sort"
	"syscall"
	"time"

	"github.com/brood-init/brood/reaper"
)

// Exit codes of brood's own, as shells and container engines use them.
const (
	CodeTimeout       = 124
	CodeInternal      = 125
	CodeNotExecutable = 126
	CodeNotFound      = 127
	codeKilled        = 128 + int(syscall.SIGKILL)
)

// Outcome is how brood ends.
type Outcome struct {
	Code   int
	Reason Reason
	Slot   int  // the worker that decided, 0 when none did
	Hook   Kind // the hook that decided, "" when none did
	// Err is why what decided could not be started, nil if that was not it.
	Err error
}

// ending is everything that decides the exit code.
type ending struct {
	// decided is fixed by the cause of the stop: giving up, failing fast, a
	// command that cannot be executed, a failed prepare hook.
	decided *Outcome
	// requested says that brood was asked to stop.
	requested bool
	// exits are those that count: with a requested stop the ones during the
	// stop, otherwise each slot's last one.
	exits []countedExit
	// registeredKilled says that a registered process needed SIGKILL.
	registeredKilled bool
	finish           *hookResult // nil when the finish hook did not run
	codes            map[int]int
}

type countedExit struct {
	slot   int
	at     time.Time
	status reaper.Status
	reason Reason
}

type hookResult struct {
	code     int
	timedOut bool
	err      error // why it did not start
}

// outcome is the exit code and its reason, decided in this order: what the
// cause of the stop has fixed; the worker that failed first; a registered
// process that had to be killed; the finish hook; success.
func (e ending) outcome() Outcome {
	o := e.undecided()
	if mapped, ok := e.codes[o.Code]; ok {
		o.Code = mapped
	}
	return o
}

func (e ending) undecided() Outcome {
	if e.decided != nil {
		return *e.decided
	}
	exits := append([]countedExit(nil), e.exits...)
	sort.SliceStable(exits, func(i, j int) bool { return exits[i].at.Before(exits[j].at) })
	for _, x := range exits {
		if x.reason == ReasonCompleted || x.reason == ReasonStopped {
			continue
		}
		return Outcome{Code: x.status.ExitCode(), Reason: x.reason.end(), Slot: x.slot}
	}
	switch {
	case e.registeredKilled:
		return Outcome{Code: codeKilled, Reason: ReasonKilled}
	case e.finish != nil && e.finish.timedOut:
		return Outcome{Code: CodeTimeout, Reason: ReasonFailed, Hook: KindFinish}
	case e.finish != nil && e.finish.code != 0:
		return Outcome{Code: e.finish.code, Reason: ReasonFailed, Hook: KindFinish, Err: e.finish.err}
	case e.requested:
		return Outcome{Reason: ReasonRequested}
	}
	return Outcome{Reason: ReasonCompleted}
}

// honoured reports whether a worker that was sent the stop signal ended as it
// should: with 0, by that very signal, or with 128 plus its number, which is
// how a shell or a JVM says the same.
func honoured(s reaper.Status, sent syscall.Signal) bool {
	switch {
	case s.Success():
		return true
	case sent == 0:
		return false
	case s.Signal != 0:
		return s.Signal == sent
	}
	return s.Code == 128+int(sent)
}

// exitReason classifies a worker's end. sent is the stop signal it got, 0 for
// none; killed says that brood sent it SIGKILL, oom that the kernel did.
func exitReason(s reaper.Status, sent syscall.Signal, killed, oom bool) Reason {
	switch {
	case oom && !killed:
		return ReasonOOM
	case killed && s.Signal == syscall.SIGKILL:
		return ReasonKilled
	case sent != 0 && honoured(s, sent):
		return ReasonStopped
	case s.Success():
		return ReasonCompleted
	case s.Signal != 0:
		return ReasonSignaled
	}
	return ReasonFailed
}
