package fanout

import (
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/signame"
)

// hookRun is one run of the prepare or the finish hook.
type hookRun struct {
	asked  bool  // its start was asked for
	failed error // why it could not be started when that was tried last
	pid    int
	began  time.Time
	result *hookResult // nil until it has ended
}

func (h *hookRun) running() bool { return h.asked && h.result == nil }

var (
	prepareRef = Ref{Kind: KindPrepare}
	finishRef  = Ref{Kind: KindFinish}
)

func (e *Engine) startPrepare() {
	e.enter(PhasePreparing)
	e.prepare = hookRun{asked: true, began: time.Now()}
	launch := Launch{Ref: prepareRef, Args: e.plan.Prepare.Args, Task: e.plan.Prepare.Task, Env: e.hookEnvironment()}
	if t := e.plan.Prepare.Timeout; t > 0 {
		launch.Until = e.prepare.began.Add(t)
	}
	e.system.Start(launch)
	if t := e.plan.Prepare.Timeout; t > 0 {
		e.timers.after(t, e.prepareElapsed)
	}
}

func (e *Engine) hookStarted(h *hookRun, in Started) {
	h.pid = in.PID
	e.emit(HookStarted{Hook: in.Kind, PID: in.PID})
	switch {
	case h == &e.prepare && e.phase == PhaseTerminating:
		e.askPrepareToEnd()
	case h == &e.prepare && e.stopping(): // the grace was over before it began
		e.killPrepare()
	case h == &e.finish && h.result != nil: // its time was over before it began
		e.system.Signal([]Ref{finishRef}, syscall.SIGKILL, true)
	}
}

func (e *Engine) prepareElapsed() {
	if e.phase != PhasePreparing || !e.prepare.running() {
		return
	}
	e.beginStop(stopCause{decided: &Outcome{Code: CodeTimeout, Reason: ReasonFailed, Hook: KindPrepare}})
}

// prepareEnded starts the workers, or ends brood with the hook's code.
func (e *Engine) prepareEnded(f HookFinished) {
	f.Hook, f.Duration = KindPrepare, time.Since(e.prepare.began)
	f.Asked = e.stopping()
	f.TimedOut = e.stop.decided != nil && e.stop.decided.Code == CodeTimeout
	e.prepare.result = &hookResult{f.Code, f.TimedOut, f.Err}
	e.emit(f)
	switch {
	case e.stopping():
	case f.Code == 0:
		e.startWorkers()
	default:
		e.beginStop(stopCause{decided: &Outcome{Code: f.Code, Reason: ReasonFailed, Hook: KindPrepare, Err: f.Err}})
	}
}

func (e *Engine) askPrepareToEnd() {
	if e.prepare.running() {
		e.system.Signal([]Ref{prepareRef}, syscall.SIGTERM, true)
	}
}

func (e *Engine) killPrepare() {
	if e.prepare.running() {
		e.system.Signal([]Ref{prepareRef}, syscall.SIGKILL, true)
	}
}

// finishWanted reports whether the finish hook has to run: after a prepare
// hook that was started, or, without one, after the first attempt to start a
// worker.
func (e *Engine) finishWanted() bool {
	begun := e.prepare.asked || e.begun
	return e.plan.Finish.Defined() && begun && !e.finish.asked
}

func (e *Engine) launchFinish(so Outcome) {
	e.finish = hookRun{asked: true, failed: e.finish.failed, began: time.Now()}
	e.system.Start(Launch{
		Ref:   finishRef,
		Args:  e.plan.Finish.Args,
		Task:  e.plan.Finish.Task,
		Until: e.stop.finish,
		Env: e.hookEnvironment(
			EnvExitCode+"="+strconv.Itoa(so.Code),
			EnvReason+"="+string(so.Reason),
			EnvUptime+"="+seconds(time.Since(e.began)),
		),
	})
}

// finishRetry is the pause before a finish hook that could not be started for
// want of a process or a descriptor is tried again: others are just ending.
const finishRetry = 50 * time.Millisecond

func (e *Engine) finishNotStarted(in StartFailed) {
	if in.Code != 0 || e.phase != PhaseFinishing || e.finish.result != nil || time.Until(e.stop.finish) < 2*finishRetry {
		e.finishEnded(HookFinished{Code: hookStartCode(in.Code), Err: in.Err})
		return
	}
	e.finish.failed = in.Err
	e.timers.after(finishRetry, func() {
		if e.phase == PhaseFinishing && e.finish.result == nil {
			e.launchFinish(e.ending().outcome())
		}
	})
}

func (e *Engine) finishEnded(f HookFinished) {
	if e.finish.result != nil {
		return // it had run out of time
	}
	f.Hook, f.Duration = KindFinish, time.Since(e.finish.began)
	e.finish.result = &hookResult{f.Code, f.TimedOut, f.Err}
	e.emit(f)
	if e.phase == PhaseFinishing {
		e.leave()
	}
}

func (e *Engine) finishElapsed() {
	if e.phase != PhaseFinishing || e.finish.result != nil {
		return
	}
	if e.finish.pid == 0 && e.finish.failed != nil {
		e.finishEnded(HookFinished{Code: hookStartCode(0), Err: e.finish.failed})
		return
	}
	e.system.Signal([]Ref{finishRef}, syscall.SIGKILL, true)
	e.finishEnded(HookFinished{Code: CodeTimeout, TimedOut: true})
}

// hookStartCode is the code of a hook that did not start, as a shell shows it.
func hookStartCode(code int) int {
	if code == 0 {
		return CodeNotExecutable
	}
	return code
}

// seconds prints a duration for a shell to calculate with.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// signalName is what exit hooks get to see; empty for no signal.
func signalName(s syscall.Signal) string {
	if s == 0 {
		return ""
	}
	return signame.Name(s)
}
