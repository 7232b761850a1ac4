package fanout

import (
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/output"
	"github.com/brood-init/brood/reaper"
)

// System is the engine's only way to act. No method blocks: those that take
// time answer later with an Input on the channel that the engine reads. Host
// is the real one; tests drive the engine with a fake in fake time.
type System interface {
	// Start answers with Started and later Exited, or with StartFailed.
	Start(Launch)
	// DiscardStarts drops the workers' starts that have not begun. Each of
	// them answers with StartFailed.
	DiscardStarts()
	// Signal sends sig to the processes, or with group to their process
	// groups, and returns how many took it.
	Signal(refs []Ref, sig syscall.Signal, group bool) int
	// Wake lets processes that job control has stopped go on, so that they can
	// act on the stop signal. Those that run notice nothing.
	Wake(refs []Ref)
	// GroupAlive reports whether an ended process has left members in its
	// group. It stays true for as long as any is there.
	GroupAlive(Ref) bool
	// KillAll sends SIGKILL to the group of every process that was started.
	KillAll()
	// Forget drops what is kept about an ended process; its group can no
	// longer be signalled.
	Forget(Ref)
	// WritePIDFile makes a worker the one that its slot's file names.
	WritePIDFile(Ref)
	// Probe asks a worker and answers with Probed, at the timeout at the latest.
	Probe(of Ref, by Prober, id expand.Values, timeout time.Duration)
	// Measure answers with Measured.
	Measure([]Ref)
	// CloseSockets closes brood's copies of the shared sockets.
	CloseSockets()
	// RetireSlot lets go of the sockets that only this slot has.
	RetireSlot(slot int)
	// RemovePIDFile removes the worker's file if it still names pid.
	RemovePIDFile(slot, pid int)
	// Registered lists the processes that have registered themselves and
	// answers with RegisteredSeen. Each gets sig once; 0 only looks.
	Registered(sig syscall.Signal)
	// Descendants reports whether brood has any process left below it, in
	// one system call.
	Descendants() bool
	// Sweep makes one pass over the stragglers, sends sig to each that has
	// not had it, and answers with Swept.
	Sweep(sig syscall.Signal)
	// Inspect answers with Inspected.
	Inspect(refs []Ref)
	// Suspend stops brood itself as a terminal's job control does, once a
	// foreground worker was stopped by the signal; as PID 1 it continues the
	// worker. One that was stopped for want of the terminal, which brood has,
	// gets the terminal instead: a shell's fg of a job that runs sends nothing.
	Suspend(Ref, syscall.Signal)
	// GiveTerminal makes the worker the terminal's foreground again.
	GiveTerminal(Ref)
	// TakeTerminal makes brood the terminal's foreground again.
	TakeTerminal()
	// Cleanup removes the files that brood wrote and answers with CleanedUp.
	Cleanup()
}

// Kind is what a process is to brood.
type Kind string

// The kinds of processes that brood starts.
const (
	KindWorker   Kind = "worker"
	KindPrepare  Kind = "prepare"
	KindFinish   Kind = "finish"
	KindExitHook Kind = "on-worker-exit"
	KindProbe    Kind = "probe"
)

// Ref names one process that the engine asked for, from before it has a PID
// until after it has lost it. Slot and Incarnation are 0 for the prepare and
// finish hooks; an exit hook and a probe bear those of their worker.
type Ref struct {
	Kind        Kind
	Slot        int
	Incarnation int
}

// Launch is a process to start.
type Launch struct {
	Ref
	Args []string
	// Task is run instead of Args, until Until at most if that is set.
	Task  Task
	Until time.Time
	Env   []string
	// Stdin passes brood's stdin on, and on a terminal the foreground;
	// otherwise the process reads /dev/null.
	Stdin bool
	// Beside says that another process of the slot runs and keeps the PID file.
	Beside bool
}

// Input is anything that the engine reacts to: an answer of the System, or a
// signal that arrived.
type Input interface{ input() }

// Started says that a process runs; a worker's PID file is written by then.
type Started struct {
	Ref
	PID int
	At  time.Time
}

// StartFailed says that there is no process.
type StartFailed struct {
	Ref
	Err error
	// Code is 127 for a command that was not found, 126 for one that cannot
	// be executed, 0 for trouble that may pass (no memory, too many processes).
	Code int
	// TakenBy is the process that owns the slot's PID file and is not ours.
	TakenBy int
}

// Exited says that a process has ended. It comes after its Started.
type Exited struct {
	Ref
	reaper.Exit
	// OOM says that the kernel's out-of-memory killer has ended it, or the child
	// whose end it reports.
	OOM bool
	// OOMKills counts the processes of the container that the killer has ended
	// since the last look, and that brood has not reaped: children of workers,
	// most likely of this one, which has failed.
	OOMKills uint64
	// Words are a worker's last, nil where they are not known.
	Words *output.Words
}

// Stopped says that job control has stopped a foreground worker.
type Stopped struct {
	Ref
	By syscall.Signal
}

// Probed is a worker's answer to a probe; nil is a yes.
type Probed struct {
	Ref
	Err error
}

// Notified is what a worker, or a process that it has started, has said by
// sd_notify(3). Who spoke was verified.
type Notified struct {
	Ref
	Ready, Stopping, Ping, Trigger bool
	Reloading                      bool
	Status                         *string // nil when nothing was said of it
	Extend                         time.Duration
	Watchdog                       time.Duration // 0 is unchanged
}

// NotifyRefused says that somebody has said something for a slot that was not
// taken.
type NotifyRefused struct{ Err error }

// Measured is the resident memory of workers, in bytes.
type Measured struct{ RSS map[Ref]uint64 }

// StopAsked asks for a stop, as SIGTERM does.
type StopAsked struct{}

// OrphansReaped says that adopted processes have ended, and how many of them
// were ended by the out-of-memory killer.
type OrphansReaped struct {
	reaper.Orphans
	Origins  Orphans
	OOMKills uint64
}

// OOMGroupSeen says that the kernel ends all processes of the container when one
// of them runs out of memory.
type OOMGroupSeen struct{}

// RegisteredSeen lists the registered processes that are alive.
type RegisteredSeen struct {
	Alive []RegisteredProcess
	// Signalled are those that this pass has sent Signal to.
	Signalled []RegisteredProcess
	Signal    syscall.Signal
	// Problems are files that were refused and not reported before.
	Problems []error
}

// RegisteredProcess is a process that listed itself in a PID file.
type RegisteredProcess struct {
	Index int
	PID   int
	Comm  string
}

// Swept is the result of one pass over the stragglers.
type Swept struct {
	Signal syscall.Signal
	// Left are those alive when the pass ended; zombies are not.
	Left []Straggler
	// Signalled is how many of them this pass has signalled.
	Signalled int
}

// Straggler is a descendant that is still alive after all workers have ended.
type Straggler struct {
	PID  int
	Comm string
}

// Inspected describes processes that are slow to stop.
type Inspected struct{ Processes []ProcessInfo }

// ProcessInfo is what /proc says of a process that is slow to stop.
type ProcessInfo struct {
	Ref
	PID   int
	Comm  string
	State byte // as in proc_pid_stat(5)
	// ShellChild is the PID of the only child of a shell that seems to wait
	// for it, 0 otherwise.
	ShellChild int
}

// SignalArrived is a signal that was sent to brood.
type SignalArrived struct{ Signal syscall.Signal }

// RegisteredProblem is a PID file that could not be written or removed.
type RegisteredProblem struct{ Err error }

// HostPanicked says that the Host has found a mistake in itself and goes on.
type HostPanicked struct {
	Value any
	Stack []byte
}

// Asked wants to know whether the engine is alive: it closes Answer.
type Asked struct{ Answer chan<- struct{} }

// LookAsked has the registered processes looked at, and closes Answer once the
// snapshot shows them.
type LookAsked struct{ Answer chan<- struct{} }

// CleanedUp says that brood's files are gone.
type CleanedUp struct{}

func (Started) input()        {}
func (StartFailed) input()    {}
func (Exited) input()         {}
func (Stopped) input()        {}
func (OrphansReaped) input()  {}
func (RegisteredSeen) input() {}
func (Swept) input()          {}
func (Inspected) input()      {}
func (SignalArrived) input()  {}
func (CleanedUp) input()      {}

func (RegisteredProblem) input() {}
func (HostPanicked) input()      {}
func (Asked) input()             {}
func (Probed) input()            {}
func (Notified) input()          {}
func (Measured) input()          {}
func (LimitsSeen) input()        {}
func (ReloadAsked) input()       {}
func (ScaleAsked) input()        {}
func (StopAsked) input()         {}
func (LookAsked) input()         {}
func (OOMGroupSeen) input()      {}
func (NotifyRefused) input()     {}
