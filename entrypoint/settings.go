package entrypoint

import (
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/probe"
	"github.com/brood-init/brood/internal/sockets"
	"github.com/brood-init/brood/internal/staging"
	"github.com/brood-init/brood/pidfiles"
)

// settings holds one value for each row of the table.
type settings struct {
	Processes        value[Processes]
	MinProcesses     value[int]
	MaxProcesses     value[int]    // 0 is no limit
	MemoryPerProcess value[uint64] // bytes; 0 is not known
	Env              value[[]fanout.Variable]
	ExpandArgs       value[bool]
	EnvFile          value[string]

	FollowLimits value[FollowLimits]

	Ready          value[Check]
	ReadyTimeout   value[time.Duration]
	Live           value[Check]
	Watchdog       value[time.Duration] // 0 is none
	MaxUnavailable value[int]
	MaxSurge       value[int]
	MaxAge         value[time.Duration] // 0 is no bound
	MaxRss         value[uint64]        // bytes; 0 is no bound

	Restart        value[fanout.RestartPolicy]
	RestartBackoff value[fanout.Backoff]
	MaxRestarts    value[fanout.CrashBudget]
	FailFast       value[bool]
	Leftovers      value[fanout.LeftoverPolicy]

	StopTimeout  value[StopTimeout]
	StopSignal   value[syscall.Signal] // 0 is the one that arrived
	DrainDelay   value[time.Duration]
	SecondSignal value[fanout.SecondSignalPolicy]
	ExitCode     value[[]ExitCodeRule]

	Signal value[[]SignalRule]
	Group  value[bool]

	Prepare        value[[]string]
	PrepareTimeout value[time.Duration] // 0 is no bound
	Finish         value[[]string]
	FinishTimeout  value[time.Duration]
	OnWorkerExit   value[[]string]

	Listen      value[[]sockets.Spec]
	User        value[*staging.User] // nil is brood's own
	NoNewPrivs  value[bool]
	Rlimit      value[[]staging.Limit]
	CPUAffinity value[*staging.Affinity] // nil leaves it alone

	Pidfile value[pidfiles.Pattern] // zero is the default pattern

	MetricsAddr   value[string] // empty is nowhere
	MetricsDetail value[MetricsDetail]
	WorkerMetrics value[*probe.Probe] // nil is none
	WebConfigFile value[string]       // absolute; empty is none
	HealthAddr    value[string]       // empty is with the metrics only
	ReadyMin      value[int]          // 0 is by default
	Control       value[string]       // empty is beside the PID files

	MultiprocDirCleanup value[bool]

	TerminationLog value[string] // empty is the default file, if it exists
	FinalMetrics   value[string] // empty is nowhere

	Daemon   value[DaemonAction] // empty is the foreground
	Start    value[bool]
	Stop     value[bool]
	Nodaemon value[bool]
	LogFile  value[string] // empty is /dev/null

	LogFormat value[LogFormat]
	LogLevel  value[slog.Level]
	Output    value[Output]
}

// setting is one row of the table: all that flags, variables, help, manual,
// completions and docs say about a setting comes from here.
type setting struct {
	name      string // the flag's, without dashes
	shorthand string
	group     string
	value     string   // what stands for the value in help; empty for a switch
	choices   []string // all values there are, for enumerations
	fallback  string   // the default, parsed like any value; empty is none
	shown     string   // stands for an empty default in help
	help      string
	secret    bool // its values are never shown, only what is before "="
	field     func(*settings) field
}

// The groups of the table, in the order of help.
const (
	groupWorkers  = "Workers"
	groupReady    = "Readiness and replacement"
	groupRestarts = "Restarts"
	groupStopping = "Stopping"
	groupSignals  = "Signals"
	groupHooks    = "Hooks"
	groupWorkerOS = "Sockets and rights of workers"
	groupPIDFiles = "PID files"
	groupHealth   = "Metrics and health"
	groupLogging  = "Logging"
	groupDaemon   = "Outside of a container"
)

const none = "none"

// table is every setting, group by group.
func table() []setting {
	return slices.Concat(workerTable(), readyTable(), restartTable(), stopTable(), hookTable(), attributeTable(), healthTable(), logTable(), daemonTable())
}

func workerTable() []setting {
	follow := []string{string(FollowAuto), string(FollowOn), string(FollowOff)}
	return []setting{
		{
			name: "processes", shorthand: "n", group: groupWorkers, value: "N", fallback: "auto",
			help:  "how many workers: a number, 0 for none yet, auto (or a negative number) for the CPUs this container may use",
			field: func(s *settings) field { return scalar(&s.Processes, parseProcesses) },
		}, {
			name: "min-processes", group: groupWorkers, value: "N", fallback: "1",
			help:  "with auto, no fewer workers than this",
			field: func(s *settings) field { return scalar(&s.MinProcesses, parseMinProcesses) },
		}, {
			name: "max-processes", group: groupWorkers, value: "N", fallback: none,
			help:  "with auto, no more workers than this",
			field: func(s *settings) field { return scalar(&s.MaxProcesses, parseMaxProcesses) },
		}, {
			name: "memory-per-process", group: groupWorkers, value: "SIZE", fallback: none,
			help:  "with auto, no more workers than the memory limit holds at this size each, such as 300MiB",
			field: func(s *settings) field { return scalar(&s.MemoryPerProcess, parseMemory) },
		}, {
			name: "follow-limits", group: groupWorkers, value: "WHEN", choices: follow, fallback: follow[0],
			help:  "change the number of workers when the container's CPU limit changes; auto does with --processes auto",
			field: func(s *settings) field { return choice(&s.FollowLimits, follow) },
		}, {
			name: "env", group: groupWorkers, value: "KEY=VALUE", shown: none, secret: true,
			help:  "a variable for each worker, with {slot}, {index}, {count} and {8080+index} expanded; repeatable",
			field: func(s *settings) field { return list(&s.Env, addVariable) },
		}, {
			name: "expand-args", group: groupWorkers, fallback: "off",
			help:  "expand the command's arguments as well",
			field: func(s *settings) field { return toggle(&s.ExpandArgs) },
		}, {
			name: "env-file", group: groupWorkers, value: "FILE", shown: none,
			help:  "a dotenv file: its BROOD_ variables are settings, all others go to the workers, below the real environment",
			field: func(s *settings) field { return scalar(&s.EnvFile, parseText) },
		},
	}
}

func readyTable() []setting {
	return []setting{
		{
			name: "ready", group: groupReady, value: "CHECK", fallback: "1s",
			help:  "when a worker is ready: alive for a time, or notify (sd_notify), tcp://host:port, unix:///path, http://host:port/path, exec:command, each with {slot}, {index} and {8080+index} expanded",
			field: func(s *settings) field { return scalar(&s.Ready, parseReady) },
		}, {
			name: "ready-timeout", group: groupReady, value: "TIME", fallback: "60s",
			help:  "a worker that is not ready by then has failed",
			field: func(s *settings) field { return scalar(&s.ReadyTimeout, parsePositive) },
		}, {
			name: "live", group: groupReady, value: "CHECK", shown: none,
			help:  "ask ready workers every 10 s, by tcp://, unix://, http:// or exec:; one that fails three times in a row gets SIGABRT, then SIGKILL",
			field: func(s *settings) field { return scalar(&s.Live, parseLive) },
		}, {
			name: "watchdog", group: groupReady, value: "TIME", fallback: none,
			help:  "a ready worker that does not say WATCHDOG=1 (sd_notify) for so long is stuck, and gets SIGABRT, then SIGKILL",
			field: func(s *settings) field { return scalar(&s.Watchdog, parseLimit) },
		}, {
			name: "max-unavailable", group: groupReady, value: "N", fallback: "1",
			help:  "how many ready workers may be taken down at once, by reloads, recycling and failed checks together",
			field: func(s *settings) field { return scalar(&s.MaxUnavailable, parseFew) },
		}, {
			name: "max-surge", group: groupReady, value: "N", fallback: "0",
			help:  "how many successors may start beside the workers that they replace; all but the leader are replaced so then",
			field: func(s *settings) field { return scalar(&s.MaxSurge, parseFew) },
		}, {
			name: "max-age", group: groupReady, value: "TIME", fallback: none,
			help:  "replace a worker that gets older; each process draws its own limit, up to a tenth earlier",
			field: func(s *settings) field { return scalar(&s.MaxAge, parseLimit) },
		}, {
			name: "max-rss", group: groupReady, value: "SIZE", fallback: none,
			help:  "replace a worker whose resident memory gets above this, such as 512MiB; looked at every 5 s",
			field: func(s *settings) field { return scalar(&s.MaxRss, parseMemory) },
		},
	}
}

func restartTable() []setting {
	policies := []string{string(fanout.RestartOnFailure), string(fanout.RestartAlways), string(fanout.RestartNever)}
	leftovers := []string{string(fanout.LeftoversKill), string(fanout.LeftoversKeep)}
	return []setting{
		{
			name: "restart", group: groupRestarts, value: "POLICY", choices: policies, fallback: policies[0],
			help:  "which ended workers are started again",
			field: func(s *settings) field { return choice(&s.Restart, policies) },
		}, {
			name: "restart-backoff", group: groupRestarts, value: "MIN..MAX", fallback: "100ms..30s",
			help:  "the delay before a restart: it doubles with each failure, and starts anew when a worker has stayed up for MAX",
			field: func(s *settings) field { return scalar(&s.RestartBackoff, parseBackoff) },
		}, {
			name: "max-restarts", group: groupRestarts, value: "N/TIME", fallback: "10/5m",
			help:  "a worker that fails more often than N times within TIME counts as failed and is retried at MAX only; brood gives up when no worker is ready any more",
			field: func(s *settings) field { return scalar(&s.MaxRestarts, parseCrashBudget) },
		}, {
			name: "fail-fast", group: groupRestarts, fallback: "off",
			help:  "the first abnormal exit of any worker stops everybody",
			field: func(s *settings) field { return toggle(&s.FailFast) },
		}, {
			name: "leftovers", group: groupRestarts, value: "POLICY", choices: leftovers, fallback: leftovers[0],
			help:  "what becomes of the processes that an ended worker leaves behind in its process group",
			field: func(s *settings) field { return choice(&s.Leftovers, leftovers) },
		},
	}
}

// variable is the name of the row's environment variable.
func (r setting) variable() string {
	return envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(r.name, "-", "_"))
}

// standard is the default as help shows it.
func (r setting) standard() string {
	if r.fallback == "" {
		return r.shown
	}
	return r.fallback
}

// bound is a row with the field of some settings that it sets.
type bound struct {
	*setting
	field field
}

// bind ties every row to its field in s and gives s the defaults.
func bind(s *settings) []bound {
	rows := table()
	all := make([]bound, len(rows))
	for i := range rows {
		row := &rows[i]
		all[i] = bound{row, row.field(s)}
		if row.fallback == "" {
			continue
		}
		if err := all[i].field.take(row.fallback, SourceDefault); err != nil {
			panic("the table has a wrong default for " + row.name + ": " + err.Error())
		}
	}
	return all
}
