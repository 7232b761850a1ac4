package fanout

import (
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
)

// Phase is what brood as a whole is doing.
type Phase string

// The phases, in the order in which they are entered. Any may be skipped but
// the last.
const (
	PhasePreparing   Phase = "preparing"   // the prepare hook runs
	PhaseRunning     Phase = "running"     // workers are kept up
	PhaseDraining    Phase = "draining"    // asked to stop, workers still serve
	PhaseTerminating Phase = "terminating" // workers have the stop signal
	PhaseSweeping    Phase = "sweeping"    // stragglers are ended
	PhaseFinishing   Phase = "finishing"   // the finish hook runs
	PhaseLeaving     Phase = "leaving"     // files are removed
	PhaseDone        Phase = "done"
)

// Engine owns all state of one brood. Make it with New and call Run once.
type Engine struct {
	plan      Plan
	system    System
	inputs    <-chan Input
	observers []Observer
	random    func() float64
	// workerBase is the plan's environment without what is set per worker.
	workerBase []string

	began  time.Time
	phase  Phase
	timers *timers

	slots     roster
	begun     bool // a worker's start was attempted
	wanted    int  // how many workers there should be
	limit     int  // how many the container's limits allow
	following bool // wanted follows limit
	ready     int  // slots in the state ready
	due       int  // slots whose process is to be replaced
	reload    *reload
	// early are signals that came before the first workers could get them.
	early []syscall.Signal

	prepare    hookRun
	finish     hookRun
	exitHooks  exitHooks
	probes     map[Ref]int               // probes that run as processes, and their numbers
	lastProbe  int                       // the number of the last one
	registered map[int]RegisteredProcess // by PID, alive when last seen
	looks      int                       // Registered requests under way
	lookers    []chan<- struct{}         // who waits for what they find
	naturalEnd bool                      // every worker has completed
	waiting    bool                      // and it was said that others are waited for
	suspended  bool                      // job control has stopped the foreground worker
	stop       stopState
	outcome    Outcome
	broken     any // what Begin has panicked with

	done         chan struct{} // closed when Run has returned
	snapshot     atomic.Pointer[Snapshot]
	dirty        bool // something has changed since the last snapshot
	allBeenReady bool
}

// New returns an engine that acts on system and reacts to inputs. Observers
// are told of every event in the order given.
func New(plan Plan, system System, inputs <-chan Input, observers ...Observer) *Engine {
	e := &Engine{
		plan:       plan,
		system:     system,
		inputs:     inputs,
		observers:  observers,
		random:     rand.Float64,
		workerBase: without(plan.Environment, plan.WorkerEnvironment),
		slots:      newRoster(plan.Taken),
		wanted:     plan.Count,
		limit:      plan.Count,
		following:  plan.FollowLimits,
		exitHooks:  newExitHooks(),
		probes:     make(map[Ref]int),
		done:       make(chan struct{}),
		registered: make(map[int]RegisteredProcess),
	}
	e.snapshot.Store(&Snapshot{Wanted: plan.Count, Phase: PhasePreparing})
	return e
}

// Run keeps the plan until it is fulfilled, given up or stopped, and returns
// how brood should exit. It returns within the stop budget of a stop request,
// whatever is stuck. A panic in the engine kills every process that brood has
// started, runs the finish hook and returns CodeInternal.
func (e *Engine) Run() (o Outcome) {
	defer func() {
		if v := recover(); v != nil {
			o = e.emergency(v, debug.Stack())
		}
		e.outcome = o
		close(e.done)
	}()
	e.Begin()
	if e.broken != nil {
		panic(e.broken)
	}
	for e.phase != PhaseDone {
		e.publishIfIdle()
		select {
		case in := <-e.inputs:
			e.handle(in)
		case <-e.timers.arm():
			e.timers.expire()
		}
		e.progress()
	}
	e.publish()
	e.emit(Exiting{e.outcome})
	return e.outcome
}

// Also adds an observer; call it before Run.
func (e *Engine) Also(o Observer) { e.observers = append(e.observers, o) }

// Done is closed when Run is about to return.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Outcome is what Run has returned; call it after Done.
func (e *Engine) Outcome() Outcome {
	<-e.done
	return e.outcome
}

// publishIfIdle makes the state visible once nothing more is waiting to change
// it: a thousand starts in a row are one snapshot.
func (e *Engine) publishIfIdle() {
	if len(e.inputs) == 0 {
		e.publish()
	}
}

// Begin asks for the first processes. Run does so too: who calls it before Run, in
// the goroutine that has made the engine, lets them start while it prepares what
// comes after. A panic is left to Run.
func (e *Engine) Begin() {
	if !e.began.IsZero() {
		return
	}
	defer func() { e.broken = recover() }()
	e.began = time.Now()
	e.timers = newTimers()
	if e.plan.Prepare.Defined() {
		e.startPrepare()
		return
	}
	e.startWorkers()
}

func (e *Engine) handle(in Input) {
	switch in := in.(type) {
	case Started:
		e.started(in)
	case StartFailed:
		e.startFailed(in)
	case Exited:
		e.exited(in)
	case TaskEnded:
		e.taskEnded(in)
	case Stopped:
		e.suspended = true
		e.system.Suspend(in.Ref, in.By)
	case Probed:
		e.probed(in)
	case Notified:
		e.notified(in)
	case NotifyRefused:
		e.emit(NotificationRefused{in.Err})
	case Measured:
		e.measured(in)
	case LimitsSeen:
		e.limitsSeen(in)
	case ReloadAsked:
		e.reloadAsked(in.Answer)
	case ScaleAsked:
		e.scaleAsked(in)
	case LookAsked:
		e.lookAsked(in.Answer)
	case StopAsked:
		e.beginStop(stopCause{})
	case SignalArrived:
		e.signalArrived(in.Signal)
	case OrphansReaped:
		e.orphansReaped(in)
	case OOMGroupSeen:
		e.emit(OOMGroupFound{})
	case RegisteredSeen:
		e.registeredSeen(in)
	case RegisteredProblem:
		e.emit(PIDFileRefused{in.Err})
	case Asked:
		close(in.Answer)
	case HostPanicked:
		e.emit(Panicked{in.Value, in.Stack})
	case Swept:
		e.swept(in)
	case Inspected:
		e.inspected(in)
	case CleanedUp:
		e.cleanedUp()
	}
}

// started, startFailed and exited sort the answers by what the process is.

func (e *Engine) started(in Started) {
	switch in.Kind {
	case KindWorker:
		e.workerStarted(in)
	case KindProbe:
		e.probeStarted(in)
	case KindExitHook:
		e.exitHookStarted(in)
	case KindPrepare:
		e.hookStarted(&e.prepare, in)
	case KindFinish:
		e.hookStarted(&e.finish, in)
	}
}

func (e *Engine) startFailed(in StartFailed) {
	switch in.Kind {
	case KindWorker:
		e.workerStartFailed(in)
	case KindProbe:
		e.probeExited(in.Ref, 0, in.Err)
	case KindExitHook:
		e.exitHookEnded(in.Ref, HookFinished{Code: hookStartCode(in.Code), Err: in.Err})
	case KindPrepare:
		e.prepareEnded(HookFinished{Code: hookStartCode(in.Code), Err: in.Err})
	case KindFinish:
		e.finishNotStarted(in)
	}
}

func (e *Engine) exited(in Exited) {
	switch in.Kind {
	case KindWorker:
		e.workerExited(in)
	case KindProbe:
		e.emit(ProbeEnded{in.Slot, in.Exit})
		e.probeExited(in.Ref, in.ExitCode(), nil)
	case KindExitHook:
		e.exitHookEnded(in.Ref, HookFinished{PID: in.PID, Code: in.ExitCode(), Signal: in.Signal})
	case KindPrepare:
		e.prepareEnded(HookFinished{PID: in.PID, Code: in.ExitCode(), Signal: in.Signal})
	case KindFinish:
		e.finishEnded(HookFinished{PID: in.PID, Code: in.ExitCode(), Signal: in.Signal})
	}
	if in.Kind != KindWorker {
		e.system.Forget(in.Ref)
	}
}

// progress moves brood on when what it waits for has come about. It is called
// after everything that happens, so no transition has to be remembered by the
// code that makes it possible.
func (e *Engine) progress() {
	for before := Phase(""); before != e.phase; {
		before = e.phase
		switch e.phase {
		case PhaseRunning:
			e.rebalance()
			e.endIfNobodyIsLeft()
		case PhaseDraining, PhaseTerminating:
			e.sweepIfAllEnded()
		case PhaseSweeping:
			e.finishIfSwept()
		}
	}
}

func (e *Engine) enter(p Phase) {
	e.phase = p
	e.dirty = true
	e.emit(PhaseEntered{p})
}

func (e *Engine) emit(ev Event) {
	at := time.Now()
	for _, observe := range e.observers {
		observe(at, ev)
	}
}

// stopping reports whether workers are no longer kept up.
func (e *Engine) stopping() bool {
	return e.phase != PhasePreparing && e.phase != PhaseRunning
}
