package entrypoint

import (
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/sockets"
	"github.com/brood-init/brood/internal/staging"
	"github.com/brood-init/brood/pidfiles"
)

// settings holds one value for each row of the table. Its field names are the
// rows' names, because envconfig makes the variables' names from them.
//
// No field may have a tag envconfig:"X": with one, envconfig also reads the
// bare X, which is the worker's variable and not ours.
type settings struct {
	Processes        value[Processes]         `split_words:"true"`
	MinProcesses     value[int]               `split_words:"true"`
	MaxProcesses     value[int]               `split_words:"true"` // 0 is no limit
	MemoryPerProcess value[uint64]            `split_words:"true"` // bytes; 0 is not known
	Env              value[[]fanout.Variable] `split_words:"true"`
	ExpandArgs       value[bool]              `split_words:"true"`
	EnvFile          value[string]            `split_words:"true"`

	FollowLimits value[FollowLimits] `split_words:"true"`

	Ready          value[Check]         `split_words:"true"`
	ReadyTimeout   value[time.Duration] `split_words:"true"`
	Live           value[Check]         `split_words:"true"`
	Watchdog       value[time.Duration] `split_words:"true"` // 0 is none
	MaxUnavailable value[int]           `split_words:"true"`
	MaxSurge       value[int]           `split_words:"true"`
	MaxAge         value[time.Duration] `split_words:"true"` // 0 is no bound
	MaxRss         value[uint64]        `split_words:"true"` // bytes; 0 is no bound

	Restart        value[fanout.RestartPolicy]  `split_words:"true"`
	RestartBackoff value[fanout.Backoff]        `split_words:"true"`
	MaxRestarts    value[fanout.CrashBudget]    `split_words:"true"`
	FailFast       value[bool]                  `split_words:"true"`
	Leftovers      value[fanout.LeftoverPolicy] `split_words:"true"`

	StopTimeout  value[StopTimeout]               `split_words:"true"`
	StopSignal   value[syscall.Signal]            `split_words:"true"` // 0 is the one that arrived
	DrainDelay   value[time.Duration]             `split_words:"true"`
	SecondSignal value[fanout.SecondSignalPolicy] `split_words:"true"`
	ExitCode     value[[]ExitCodeRule]            `split_words:"true"`

	Signal value[[]SignalRule] `split_words:"true"`
	Group  value[bool]         `split_words:"true"`

	Prepare        value[[]string]      `split_words:"true"`
	PrepareTimeout value[time.Duration] `split_words:"true"` // 0 is no bound
	Finish         value[[]string]      `split_words:"true"`
	FinishTimeout  value[time.Duration] `split_words:"true"`
	OnWorkerExit   value[[]string]      `split_words:"true"`

	Listen      value[[]sockets.Spec]    `split_words:"true"`
	User        value[*staging.User]     `split_words:"true"` // nil is brood's own
	NoNewPrivs  value[bool]              `split_words:"true"`
	Rlimit      value[[]staging.Limit]   `split_words:"true"`
	CPUAffinity value[*staging.Affinity] `split_words:"true"` // nil leaves it alone

	Pidfile value[pidfiles.Pattern] `split_words:"true"` // zero is the default pattern

	MetricsAddr   value[string]        `split_words:"true"` // empty is nowhere
	MetricsDetail value[MetricsDetail] `split_words:"true"`
	ReadyMin      value[int]           `split_words:"true"` // 0 is by default
	Control       value[string]        `split_words:"true"` // empty is beside the PID files

	TerminationLog value[string] `split_words:"true"` // empty is the default file, if it exists
	FinalMetrics   value[string] `split_words:"true"` // empty is nowhere

	LogFormat value[LogFormat]  `split_words:"true"`
	LogLevel  value[slog.Level] `split_words:"true"`
	Output    value[Output]     `split_words:"true"`
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
)

const none = "none"

// table is every setting, group by group.
func table() []setting {
	return slices.Concat(workerTable(), readyTable(), restartTable(), stopTable(), hookTable(), attributeTable(), healthTable(), logTable())
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

func stopTable() []setting {
	second := []string{string(fanout.SecondSignalHasten), string(fanout.SecondSignalIgnore)}
	return []setting{
		{
			name: "stop-timeout", group: groupStopping, value: "TIME", fallback: "auto",
			help:  "from the stop request to brood's own exit, finish hook included; auto is 28s under Kubernetes, else 9s (docker kills after 10 s)",
			field: func(s *settings) field { return scalar(&s.StopTimeout, parseStopTimeout) },
		}, {
			name: "stop-signal", group: groupStopping, value: "SIGNAL", fallback: "arrived",
			help:  "what workers get when brood is asked to stop; arrived is the signal that asked",
			field: func(s *settings) field { return scalar(&s.StopSignal, parseStopSignal) },
		}, {
			name: "drain-delay", group: groupStopping, value: "TIME", fallback: "0s",
			help:  "from the stop request until workers are signalled, for load balancers to notice",
			field: func(s *settings) field { return scalar(&s.DrainDelay, parseDuration) },
		}, {
			name: "second-signal", group: groupStopping, value: "POLICY", choices: second, fallback: second[0],
			help:  "what a further stop signal does, where hasten ends the current phase of the stop",
			field: func(s *settings) field { return choice(&s.SecondSignal, second) },
		}, {
			name: "exit-code", group: groupStopping, value: "FROM=TO", shown: none,
			help:  "replace brood's exit code FROM by TO, such as 143=0; repeatable",
			field: func(s *settings) field { return list(&s.ExitCode, addExitCode) },
		}, {
			name: "signal", group: groupSignals, value: "FROM=ACTION", shown: none,
			help:  "what to do when signal FROM arrives: forward, ignore, stop, reload, scale-up, scale-down, or the name of the signal that workers get instead; repeatable",
			field: func(s *settings) field { return list(&s.Signal, addSignal) },
		}, {
			name: "group", group: groupSignals, fallback: "off",
			help:  "send forwarded and stop signals to each worker's whole process group",
			field: func(s *settings) field { return toggle(&s.Group) },
		},
	}
}

func hookTable() []setting {
	return []setting{
		{
			name: "prepare", group: groupHooks, value: "COMMAND", shown: none,
			help:  "run once before any worker; if it fails brood ends with its code",
			field: func(s *settings) field { return scalar(&s.Prepare, parseCommand) },
		}, {
			name: "prepare-timeout", group: groupHooks, value: "TIME", fallback: none,
			help:  "how long prepare may take",
			field: func(s *settings) field { return scalar(&s.PrepareTimeout, parseLimit) },
		}, {
			name: "finish", group: groupHooks, value: "COMMAND", shown: none,
			help:  "run once after all workers have ended, on every way out",
			field: func(s *settings) field { return scalar(&s.Finish, parseCommand) },
		}, {
			name: "finish-timeout", group: groupHooks, value: "TIME", fallback: "2s",
			help:  "the part of the stop timeout that is kept for finish",
			field: func(s *settings) field { return scalar(&s.FinishTimeout, parseDuration) },
		}, {
			name: "on-worker-exit", group: groupHooks, value: "COMMAND", shown: none,
			help:  "run after each end of a worker, for 5 s at most; it never delays a restart",
			field: func(s *settings) field { return scalar(&s.OnWorkerExit, parseCommand) },
		},
	}
}

func attributeTable() []setting {
	return []setting{
		{
			name: "listen", group: groupWorkerOS, value: "SOCKET", shown: none,
			help:  "bind a socket once and hand it to every worker, as LISTEN_FDS, SERVER_STARTER_PORT and EINHORN_FD_0: [name=]tcp://host:port[,reuseport], tcp4://, tcp6://, unix:///path; repeatable",
			field: func(s *settings) field { return list(&s.Listen, addSocket) },
		}, {
			name: "user", group: groupWorkerOS, value: "USER[:GROUP]", shown: "brood's own",
			help:  "whom workers run as, by names or numbers",
			field: func(s *settings) field { return scalar(&s.User, parseUser) },
		}, {
			name: "no-new-privs", group: groupWorkerOS, fallback: "off",
			help:  "keep workers from getting rights by set-user-ID programs",
			field: func(s *settings) field { return toggle(&s.NoNewPrivs) },
		}, {
			name: "rlimit", group: groupWorkerOS, value: "NAME=SOFT[:HARD]", shown: "brood's own",
			help:  "a limit of workers, such as nofile=1024:4096 or core=unlimited; repeatable",
			field: func(s *settings) field { return list(&s.Rlimit, addRlimit) },
		}, {
			name: "cpu-affinity", group: groupWorkerOS, value: "CPUS", shown: "brood's own",
			help:  "the CPUs of each worker: a list such as 0-3,6, or auto for one CPU to a slot",
			field: func(s *settings) field { return scalar(&s.CPUAffinity, parseAffinity) },
		}, {
			name: "pidfile", group: groupPIDFiles, value: "FILE", shown: "brood.pid in the first usable directory",
			help:  "DIR/NAME.EXT stands for DIR/NAME.<slot>.EXT, one file for each worker; whoever puts a PID into a free one is stopped with the workers",
			field: func(s *settings) field { return scalar(&s.Pidfile, parsePidfile) },
		},
	}
}

func healthTable() []setting {
	details := []string{string(DetailAuto), string(DetailFull), string(DetailShort)}
	return []setting{
		{
			name: "metrics-addr", group: groupHealth, value: "HOST:PORT", fallback: ":9180",
			help:  "where /metrics, /livez and /readyz are served; none for nowhere",
			field: func(s *settings) field { return scalar(&s.MetricsAddr, parseAddress) },
		}, {
			name: "metrics-detail", group: groupHealth, value: "DETAIL", choices: details, fallback: details[0],
			help:  "how much is exported for each worker; auto is full up to 128 slots",
			field: func(s *settings) field { return choice(&s.MetricsDetail, details) },
		}, {
			name: "ready-min", group: groupHealth, value: "N", shown: "all but one, at least one",
			help:  "how many workers must be ready for /readyz to say so, once all have been",
			field: func(s *settings) field { return scalar(&s.ReadyMin, parseReadyMin) },
		}, {
			name: "control", group: groupHealth, value: "FILE", shown: "the PID files' name with .sock",
			help:  "the socket that brood status, health and events ask; none for no socket",
			field: func(s *settings) field { return scalar(&s.Control, parseOutput) },
		}, {
			name: "termination-log", group: groupHealth, value: "FILE", shown: terminationLog + " if it exists",
			help:  "where the reason of the end is written, if the file is empty; none for nowhere",
			field: func(s *settings) field { return scalar(&s.TerminationLog, parseOutput) },
		}, {
			name: "final-metrics", group: groupHealth, value: "FILE", shown: none,
			help:  "where the last page of metrics is written, since nobody scrapes what has ended",
			field: func(s *settings) field { return scalar(&s.FinalMetrics, parseOutput) },
		},
	}
}

func logTable() []setting {
	outputs := []string{string(OutputInherit), string(OutputPrefix), string(OutputJSON)}
	formats, levels := []string{string(LogText), string(LogJSON)}, []string{"debug", "info", "warn", "error"}
	return []setting{
		{
			name: "log-format", group: groupLogging, value: "FORMAT", choices: formats, fallback: formats[0],
			help:  "how brood's own lines look",
			field: func(s *settings) field { return choice(&s.LogFormat, formats) },
		}, {
			name: "output", group: groupLogging, value: "MODE", choices: outputs, fallback: outputs[0],
			help:  "what becomes of the workers' lines: inherit leaves them brood's own stdout and stderr, prefix puts [slot] before each line, json wraps each",
			field: func(s *settings) field { return choice(&s.Output, outputs) },
		}, {
			name: "log-level", group: groupLogging, value: "LEVEL", choices: levels, fallback: "info",
			help:  "the least important lines to write",
			field: func(s *settings) field { return scalar(&s.LogLevel, parseLevel) },
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
