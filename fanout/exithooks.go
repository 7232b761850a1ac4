package fanout

import (
	"strconv"
	"syscall"
	"time"
)

// Exit hooks run beside everything else: one at a time per slot, so that a
// slot's story arrives in order, and a bounded number at once, so that a storm
// of exits is no fork bomb.
const (
	maxExitHooks       = 8
	maxWaitingPerSlot  = 32
	exitHookRunTimeout = 5 * time.Second
)

// exitHooks are the runs of the worker-exit hook.
type exitHooks struct {
	waiting map[int][]WorkerExited // by slot, oldest first
	slots   []int                  // slots with waiting runs, in the order of arrival
	active  map[int]exitHookRun    // by slot
}

type exitHookRun struct {
	ref      Ref
	began    time.Time
	timedOut bool
	asked    bool // to end, because brood does
}

func newExitHooks() exitHooks {
	return exitHooks{waiting: make(map[int][]WorkerExited), active: make(map[int]exitHookRun)}
}

func (h *exitHooks) busy() bool { return len(h.active)+len(h.waiting) > 0 }

// next takes the run that has waited longest and whose slot is idle.
func (h *exitHooks) next() (x WorkerExited, ok bool) {
	if len(h.active) >= maxExitHooks {
		return x, false
	}
	for i, n := range h.slots {
		if _, busy := h.active[n]; busy {
			continue
		}
		x = h.waiting[n][0]
		h.waiting[n] = h.waiting[n][1:]
		if len(h.waiting[n]) == 0 {
			delete(h.waiting, n)
			h.slots = append(h.slots[:i:i], h.slots[i+1:]...)
		}
		return x, true
	}
	return x, false
}

func (e *Engine) queueExitHook(x WorkerExited) {
	if !e.plan.OnWorkerExit.Defined() {
		return
	}
	if e.stop.sweepSignal == syscall.SIGKILL {
		e.emit(HookDropped{x.Slot, true})
		return
	}
	h := &e.exitHooks
	queue, known := h.waiting[x.Slot]
	if len(queue) >= maxWaitingPerSlot {
		queue = queue[1:]
		e.emit(HookDropped{x.Slot, false})
	}
	h.waiting[x.Slot] = append(queue, x)
	if !known {
		h.slots = append(h.slots, x.Slot)
	}
	e.startExitHooks()
}

func (e *Engine) startExitHooks() {
	for {
		x, ok := e.exitHooks.next()
		if !ok {
			return
		}
		ref := Ref{KindExitHook, x.Slot, x.Incarnation}
		e.exitHooks.active[x.Slot] = exitHookRun{ref: ref, began: time.Now()}
		e.system.Start(Launch{
			Ref:  ref,
			Args: e.plan.OnWorkerExit.Args,
			Env: e.hookEnvironment(
				EnvSlot+"="+strconv.Itoa(x.Slot),
				EnvIndex+"="+strconv.Itoa(x.Slot-1),
				EnvIncarnation+"="+strconv.Itoa(x.Incarnation),
				EnvPID+"="+strconv.Itoa(x.PID),
				EnvExitCode+"="+strconv.Itoa(x.ExitCode()),
				EnvSignal+"="+signalName(x.Signal),
				EnvReason+"="+string(x.Reason),
				EnvUptime+"="+seconds(x.Uptime),
			),
		})
		e.timers.after(exitHookRunTimeout, func() { e.exitHookElapsed(ref) })
	}
}

func (e *Engine) exitHookStarted(in Started) {
	e.emit(HookStarted{Hook: KindExitHook, Slot: in.Slot, PID: in.PID})
	if e.stop.sweepSignal == syscall.SIGKILL {
		e.system.Signal([]Ref{in.Ref}, syscall.SIGKILL, true) // too late for it
	}
}

func (e *Engine) exitHookElapsed(ref Ref) {
	run, ok := e.exitHooks.active[ref.Slot]
	if !ok || run.ref != ref {
		return
	}
	run.timedOut = true
	e.exitHooks.active[ref.Slot] = run
	e.system.Signal([]Ref{ref}, syscall.SIGKILL, true)
}

func (e *Engine) exitHookEnded(ref Ref, f HookFinished) {
	run, ok := e.exitHooks.active[ref.Slot]
	if !ok || run.ref != ref {
		return
	}
	delete(e.exitHooks.active, ref.Slot)
	f.Hook, f.Slot, f.TimedOut, f.Asked, f.Duration = KindExitHook, ref.Slot, run.timedOut, run.asked, time.Since(run.began)
	e.emit(f)
	e.startExitHooks()
}

// killExitHooks ends the sweep for hooks: those that run are killed, those
// that wait are dropped.
func (e *Engine) killExitHooks() {
	for n := range e.exitHooks.waiting {
		delete(e.exitHooks.waiting, n)
		e.emit(HookDropped{n, true})
	}
	e.exitHooks.slots = nil
	var running []Ref
	for n, run := range e.exitHooks.active {
		run.asked = true
		e.exitHooks.active[n] = run
		running = append(running, run.ref)
	}
	if len(running) > 0 {
		e.system.Signal(running, syscall.SIGKILL, true)
	}
}
