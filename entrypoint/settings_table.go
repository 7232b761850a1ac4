package entrypoint

import (
	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/webconfig"
)

// The rows of the table that are not about workers and their restarts.

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
			help:  "bind a socket once and hand it to every worker, as LISTEN_FDS, SERVER_STARTER_PORT and EINHORN_FD_0: [name=]tcp://host:port[,reuseport][,nonblock], tcp4://, tcp6://, unix:///path; repeatable",
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
			help:  "where /metrics, /livez, /readyz and a status page are served; none for nowhere",
			field: func(s *settings) field { return scalar(&s.MetricsAddr, parseAddress) },
		}, {
			name: "metrics-detail", group: groupHealth, value: "DETAIL", choices: details, fallback: details[0],
			help:  "how much is exported for each worker; auto is full up to 128 slots",
			field: func(s *settings) field { return choice(&s.MetricsDetail, details) },
		}, {
			name: "worker-metrics", group: groupHealth, value: "URL", shown: none,
			help:  "where each worker serves metrics of its own, which brood's page then has too, by worker: http://127.0.0.1:{9100+index}/metrics or unix:///run/app/{slot}.sock:/metrics",
			field: func(s *settings) field { return scalar(&s.WorkerMetrics, parseWorkerMetrics) },
		}, {
			name: "web-config-file", group: groupHealth, value: "FILE", shown: none,
			help:  "TLS and passwords for --metrics-addr, as Prometheus' exporter-toolkit reads them; only in binaries built with the tag " + webconfig.Tag,
			field: func(s *settings) field { return scalar(&s.WebConfigFile, parseFile) },
		}, {
			name: "health-addr", group: groupHealth, value: "HOST:PORT", fallback: none,
			help:  "where /livez and /readyz are served besides, without TLS and passwords: for probes of what --web-config-file protects",
			field: func(s *settings) field { return scalar(&s.HealthAddr, parseAddress) },
		}, {
			name: "multiproc-dir-cleanup", group: groupHealth, fallback: "off",
			help:  "remove the files that the Prometheus clients for Python and Ruby keep in PROMETHEUS_MULTIPROC_DIR: all before the first worker, the live gauges of a worker that has ended",
			field: func(s *settings) field { return toggle(&s.MultiprocDirCleanup) },
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

func daemonTable() []setting {
	actions := []string{string(DaemonStart), string(DaemonStop), string(DaemonRestart)}
	return []setting{
		{
			name: "daemon", group: groupDaemon, value: "ACTION", choices: actions, shown: "the foreground",
			help:  "start in the background, stop what runs there, or both",
			field: func(s *settings) field { return choice(&s.Daemon, actions) },
		}, {
			name: "start", group: groupDaemon, fallback: "off",
			help:  "as --daemon start: return when all workers are ready, or with the reason why they are not",
			field: func(s *settings) field { return toggle(&s.Start) },
		}, {
			name: "stop", group: groupDaemon, fallback: "off",
			help:  "as --daemon stop: return when everybody has ended; it needs no command",
			field: func(s *settings) field { return toggle(&s.Stop) },
		}, {
			name: "nodaemon", group: groupDaemon, fallback: "off",
			help:  "stay in the foreground, whatever the settings above say",
			field: func(s *settings) field { return toggle(&s.Nodaemon) },
		}, {
			name: "log-file", group: groupDaemon, value: "FILE", shown: "/dev/null",
			help:  "what stdout and stderr of a daemon, and so of its workers, are appended to",
			field: func(s *settings) field { return scalar(&s.LogFile, parseOutput) },
		},
	}
}
