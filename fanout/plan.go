package fanout

import (
	"fmt"
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/pidfiles"
)

// Plan says what to run and how. It is settled before the engine starts and
// never changes while it runs.
type Plan struct {
	// Command is the service's argv, never joined, split or given to a shell.
	// Command[0] is looked up in PATH by the host.
	Command []string
	// Arguments replaces Command[1:] per worker when arguments are expanded;
	// nil otherwise.
	Arguments []expand.Template
	// Environment is what every worker and hook gets, as KEY=VALUE.
	Environment []string
	// WorkerEnvironment is added per worker, expanded by slot.
	WorkerEnvironment []Variable

	// Count is how many workers are wanted at the start; 0 is allowed.
	Count int
	// FollowLimits makes the wanted number follow what is seen of the
	// container's limits later.
	FollowLimits bool
	// MinCount and MaxCount bound what may be asked for; MaxCount 0 is no bound.
	MinCount, MaxCount int
	// InheritStdin gives the single worker brood's stdin and, on a terminal,
	// the foreground.
	InheritStdin bool
	// Foreground says that stdin is a terminal, so that keys reach the worker
	// and not brood: one that Ctrl-C or Ctrl-\\ has ended was asked to stop, and
	// brood with it.
	Foreground bool
	// Group sends forwarded and stop signals to process groups, not processes.
	Group bool
	// Ready is how a worker shows that it is ready, within ReadyTimeout; with
	// the zero Check it has to stay alive for ReadyAfter.
	Ready        Check
	ReadyAfter   time.Duration
	ReadyTimeout time.Duration
	// Live is how a ready worker shows that it still does its work, and
	// Watchdog how often it has to say so by itself; 0 is never.
	Live     Check
	Watchdog time.Duration
	// Disruption bounds what replacements may take down at once.
	Disruption Disruption
	// MaxAge and MaxRSS (bytes) have a worker replaced that gets older or
	// bigger; 0 is no bound.
	MaxAge time.Duration
	MaxRSS uint64

	Restart     RestartPolicy
	Backoff     Backoff
	MaxRestarts CrashBudget
	FailFast    bool
	Leftovers   LeftoverPolicy

	// StopSignal is what workers get on a stop; 0 is the signal that arrived,
	// SIGTERM when none did.
	StopSignal   syscall.Signal
	Stop         Schedule
	SecondSignal SecondSignalPolicy
	Signals      SignalTable

	Prepare      Hook
	Finish       Hook
	OnWorkerExit Hook
	// ExitCodes maps brood's own exit code just before it leaves.
	ExitCodes map[int]int
	// PIDFiles is where workers are listed; nil when no directory could be
	// made, then none are written and nobody can register.
	PIDFiles *pidfiles.Pattern
	// Taken are the numbers that registered processes have when brood starts,
	// and their PIDs: no slot gets one of these.
	Taken map[int]int
}

// Variable is one environment variable whose value depends on the worker.
type Variable struct {
	Key   string
	Value expand.Template
}

// Hook is a command that brood runs beside the workers, or for prepare and
// finish a Task. The zero Hook is none.
type Hook struct {
	Args []string
	Task Task
	// Timeout bounds one run; 0 is no bound.
	Timeout time.Duration
}

// Defined reports whether there is something to run.
func (h Hook) Defined() bool { return len(h.Args) > 0 || h.Task != nil }

// RestartPolicy says which ended workers are started again.
type RestartPolicy string

// The restart policies.
const (
	RestartOnFailure RestartPolicy = "on-failure" // exit 0 completes the slot
	RestartAlways    RestartPolicy = "always"     // exit 0 starts again too
	RestartNever     RestartPolicy = "never"      // a finished worker stays finished
)

// LeftoverPolicy says what becomes of the process group of an ended worker.
type LeftoverPolicy string

// The leftover policies.
const (
	LeftoversKill LeftoverPolicy = "kill"
	LeftoversKeep LeftoverPolicy = "keep"
)

// SecondSignalPolicy says what a further stop signal does during a stop.
type SecondSignalPolicy string

// The second-signal policies.
const (
	SecondSignalHasten SecondSignalPolicy = "hasten" // ends the current phase
	SecondSignalIgnore SecondSignalPolicy = "ignore"
)

// Backoff is the range of the delay before a restart.
type Backoff struct{ Min, Max time.Duration }

// String is the form that the setting takes: 100ms..30s.
func (b Backoff) String() string { return fmt.Sprintf("%s..%s", b.Min, b.Max) }

// CrashBudget is how many failures a slot may have within a sliding window
// before it counts as failed.
type CrashBudget struct {
	Failures int
	Window   time.Duration
}

// String is the form that the setting takes: 10/5m0s.
func (c CrashBudget) String() string { return fmt.Sprintf("%d/%s", c.Failures, c.Window) }
