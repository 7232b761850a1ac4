package fanout

import (
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/output"
	"github.com/brood-init/brood/reaper"
)

// Event is something that happened, told in the order in which it happened.
// Observers receive each one synchronously, before the engine's next decision.
type Event interface{ event() }

// Observer is told of every event by the engine's goroutine. It must neither
// block nor call the engine: a fold works in memory, a sink puts the event
// into a bounded queue of its own.
type Observer func(at time.Time, e Event)

// The events.
type (
	// PhaseEntered tells that brood as a whole goes from one phase to the next.
	PhaseEntered struct{ Phase Phase }

	// SlotEntered tells that a slot's state has changed; From is empty for a
	// slot that was just opened.
	SlotEntered struct {
		Slot     int
		From, To SlotState
	}
	// WorkerStarted tells that a slot has a new process.
	WorkerStarted struct {
		Slot, Incarnation, PID int
		Leader                 bool
	}
	// WorkerReady tells that a worker counts as ready.
	WorkerReady struct {
		Slot, Incarnation, PID int
		After                  time.Duration
	}
	// WorkerExited tells how a worker ended, with its last figures.
	WorkerExited struct {
		Slot, Incarnation int
		reaper.Exit
		Reason Reason
		Uptime time.Duration
		// StopTook is the time from the stop signal to the end; 0 without one.
		StopTook time.Duration
		// OOMKills and Words are as in Exited, for one that has failed.
		OOMKills uint64
		Words    *output.Words
	}
	// WorkerStartFailed tells that a worker could not be started.
	WorkerStartFailed struct {
		Slot int
		Code int // 126, 127, or 0 for trouble that may pass
		Err  error
	}
	// BackingOff tells that a slot waits before its next start.
	BackingOff struct {
		Slot     int
		Delay    time.Duration
		Failures int // within the crash budget's window
		Failed   bool
	}
	// SlotDone tells that the work of a slot is completed.
	SlotDone struct {
		Slot   int
		Others int // workers that still run
	}
	// WorkerTold tells that a worker alone was sent a signal that should end it.
	WorkerTold struct {
		Slot, Incarnation, PID int
		Signal                 syscall.Signal
		Why                    string
	}
	// WorkerUnready tells that a worker was not ready in time.
	WorkerUnready struct {
		Slot, PID int
		After     time.Duration
		Err       error // what the last probe said, nil without one
	}
	// WorkerStatus tells what a worker says of itself.
	WorkerStatus struct {
		Slot, PID int
		Status    string
	}
	// WorkerExtended says that a worker which was told to end has asked for more
	// time: so much in all, from the signal on. It is told once; it may ask again.
	WorkerExtended struct {
		Slot, PID int
		InAll     time.Duration
	}
	// NotificationRefused tells of a message by sd_notify(3) that does not count.
	NotificationRefused struct{ Err error }
	// ProbeEnded tells how the process of a probe has ended.
	ProbeEnded struct {
		Slot int
		reaper.Exit
	}
	// ProbeFailed tells that a ready worker has not answered.
	ProbeFailed struct {
		Slot, PID, InARow int
		Err               error
	}
	// WorkerStuck tells that a worker no longer does its work.
	WorkerStuck struct {
		Slot, PID int
		Err       error
	}
	// TooMuchMemory tells that a worker is over the bound.
	TooMuchMemory struct {
		Slot, PID  int
		RSS, Bound uint64 // bytes
	}
	// SlotReplaced tells that a slot's new process is ready.
	SlotReplaced struct {
		Slot  int
		Cause ReplaceCause
	}
	// ReplacementFailed tells that it has ended before it was.
	ReplacementFailed struct {
		Slot  int
		Cause ReplaceCause
		Why   string
	}
	// ReloadBegan tells how many slots are replaced, and Down that nobody
	// serves meanwhile.
	ReloadBegan struct {
		Slots int
		Down  bool
	}
	// ReloadEnded tells how a reload ended; Err is nil if it went well.
	ReloadEnded struct {
		Replaced, Slots int
		Took            time.Duration
		Err             error
	}
	// Scaled tells that another number of workers is wanted.
	Scaled struct {
		From, To int
		Cause    string // "asked" or "limits"
	}
	// ScaleRefused tells that a number cannot be had.
	ScaleRefused struct{ Err error }
	// LimitChanged tells that the container's limits allow another number.
	LimitChanged struct {
		From, To int
		Reason   string
		Followed bool
	}

	// SlotTaken tells that a slot's number belongs to somebody else.
	SlotTaken struct{ Slot, PID int }
	// LeftoversFound tells that an ended worker has left processes behind.
	LeftoversFound struct {
		Slot, PID int
		Signal    syscall.Signal // what they get; 0 when they are kept
	}

	// SignalReceived tells what brood does with a signal.
	SignalReceived struct {
		Signal syscall.Signal
		Action ActionKind
	}
	// SignalForwarded tells how many workers took a signal.
	SignalForwarded struct {
		Signal  syscall.Signal
		Workers int
	}
	// StopBegan tells that brood stops everybody, and why.
	StopBegan struct {
		Reason   Reason
		Arrived  syscall.Signal // what brood was asked by, 0 for no signal
		Signal   syscall.Signal // what workers get
		Schedule Schedule
	}
	// StopSignalSent tells that the drain delay is over.
	StopSignalSent struct {
		Signal  syscall.Signal
		Workers int
	}
	// StopHastened tells that a further signal has ended the current phase.
	StopHastened struct{ Phase Phase }
	// StillRunning names a process that is slow to stop.
	StillRunning struct{ ProcessInfo }
	// GraceOver tells that what is left gets SIGKILL.
	GraceOver struct{ Workers, Registered int }
	// StragglersSignalled tells of descendants that outlived the workers.
	StragglersSignalled struct {
		Signal syscall.Signal
		Left   []Straggler
	}
	// Abandoned tells of what could not be ended within the budget.
	Abandoned struct{ What string }

	// RegisteredFound tells of a process that registered itself.
	RegisteredFound struct{ RegisteredProcess }
	// RegisteredSignalled tells that one has been told to end.
	RegisteredSignalled struct {
		RegisteredProcess
		Signal syscall.Signal
	}
	// RegisteredEnded tells that one is gone.
	RegisteredEnded struct{ RegisteredProcess }
	// WaitingForRegistered tells that all workers have completed, and brood
	// lives on for those that have registered themselves.
	WaitingForRegistered struct{ Processes int }
	// PIDFileRefused tells of a file that is not acted on.
	PIDFileRefused struct{ Err error }

	// HookStarted tells that a hook runs.
	HookStarted struct {
		Hook Kind
		Slot int
		PID  int
	}
	// HookFinished tells how a hook ended.
	HookFinished struct {
		Hook     Kind
		Slot     int
		PID      int            // 0 for a hook that did not start, is a function, or is still there
		Code     int            // as a shell shows it; 126 and 127 when it did not start
		Signal   syscall.Signal // that has ended it, 0 if none has
		TimedOut bool
		Asked    bool // brood had asked it to end
		Duration time.Duration
		Err      error // why it did not start
		Fault    error // what a task says of its failure
	}
	// HookDropped tells that an exit hook is not run: too many were waiting, or
	// brood's time was over.
	HookDropped struct {
		Slot int
		Late bool
	}

	// OrphansAdopted tells that orphans were reaped, and how many of them were
	// ended by the out-of-memory killer.
	OrphansAdopted struct {
		reaper.Orphans
		Origins  Orphans
		OOMKills uint64
	}
	// OOMGroupFound tells that the kernel ends all processes of the container when
	// one of them runs out of memory.
	OOMGroupFound struct{}
	// Exiting is the last event.
	Exiting struct{ Outcome }
	// Panicked tells that the engine has found a mistake in itself.
	Panicked struct {
		Value any
		Stack []byte
	}
)

func (PhaseEntered) event()         {}
func (WorkerStarted) event()        {}
func (WorkerReady) event()          {}
func (WorkerExited) event()         {}
func (WorkerStartFailed) event()    {}
func (BackingOff) event()           {}
func (SlotDone) event()             {}
func (SlotEntered) event()          {}
func (SlotTaken) event()            {}
func (LeftoversFound) event()       {}
func (SignalReceived) event()       {}
func (SignalForwarded) event()      {}
func (StopBegan) event()            {}
func (StopHastened) event()         {}
func (StillRunning) event()         {}
func (GraceOver) event()            {}
func (StragglersSignalled) event()  {}
func (Abandoned) event()            {}
func (RegisteredFound) event()      {}
func (RegisteredSignalled) event()  {}
func (RegisteredEnded) event()      {}
func (PIDFileRefused) event()       {}
func (WaitingForRegistered) event() {}
func (StopSignalSent) event()       {}
func (HookStarted) event()          {}
func (HookFinished) event()         {}
func (HookDropped) event()          {}
func (OrphansAdopted) event()       {}
func (OOMGroupFound) event()        {}
func (Exiting) event()              {}
func (Panicked) event()             {}
func (WorkerTold) event()           {}
func (WorkerUnready) event()        {}
func (WorkerStatus) event()         {}
func (WorkerExtended) event()       {}
func (ProbeFailed) event()          {}
func (ProbeEnded) event()           {}
func (WorkerStuck) event()          {}
func (TooMuchMemory) event()        {}
func (SlotReplaced) event()         {}
func (ReplacementFailed) event()    {}
func (ReloadBegan) event()          {}
func (ReloadEnded) event()          {}
func (Scaled) event()               {}
func (ScaleRefused) event()         {}
func (LimitChanged) event()         {}
func (NotificationRefused) event()  {}
