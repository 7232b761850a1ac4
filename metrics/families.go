package metrics

import (
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/metrics/scraping"
)

// table is the one place where metrics are named.
func table() [familyCount]Descriptor {
	states, reasons, hookNames := slotStates(), exitReasons(), hooks()
	modes := Label{"mode", []string{"user", "system"}}
	return [...]Descriptor{
		workerUp: {
			"brood_worker_up", Gauge, worker(),
			"Whether the slot has a process (1) or not (0).", true, fromEvents,
		},
		workerState: {
			"brood_worker_state", Gauge, worker(Label{"state", names(states[:])}),
			"State of the slot; exactly one is 1.", true, fromEvents,
		},
		workerPID: {
			"brood_worker_pid", Gauge, worker(),
			"Process ID now in the slot, to join with logs.", false, fromEvents,
		},
		workerStartTime: {
			"brood_worker_start_time_seconds", Gauge, worker(),
			"Time the process now in the slot was started, since unix epoch in seconds.", false, fromEvents,
		},
		workerReadyTime: {
			"brood_worker_ready_time_seconds", Gauge, worker(),
			"Time the process now in the slot became ready, since unix epoch in seconds.", false, fromEvents,
		},
		workerStarts: {
			"brood_worker_starts_total", Counter, worker(),
			"Processes started in the slot, the first included.", false, fromEvents,
		},
		workerRestarts: {
			"brood_worker_restarts_total", Counter, worker(),
			"Processes started in the slot because the one before had ended or could not be started.", true, fromEvents,
		},
		workerStartFailures: {
			"brood_worker_start_failures_total", Counter, worker(),
			"Starts in the slot that failed before the command ran.", false, fromEvents,
		},
		workerExits: {
			"brood_worker_exits_total", Counter, worker(Label{"reason", names(reasons[:])}),
			"Processes of the slot that have ended, by reason.", true, fromEvents,
		},
		workerLastExitCode: {
			"brood_worker_last_exit_code", Gauge, worker(),
			"Exit code of the last process that ended in the slot, 128+N for signal N; absent before the first.", false, fromEvents,
		},
		workerLastExitTime: {
			"brood_worker_last_exit_time_seconds", Gauge, worker(),
			"Time the last process of the slot ended, since unix epoch in seconds; absent before the first.", false, fromEvents,
		},
		workerBackoff: {
			"brood_worker_backoff_seconds", Gauge, worker(),
			"Delay before the next start of the slot in seconds, 0 if none is pending.", false, fromEvents,
		},
		workerForcedKills: {
			"brood_worker_forced_kills_total", Counter, worker(),
			"Processes of the slot that were killed because they did not stop in time.", false, fromEvents,
		},
		workerStopDuration: {
			"brood_worker_stop_duration_seconds", Histogram, nil,
			"Time from the stop signal to the end of a worker in seconds.", true, fromEvents,
		},
		workerCPU: {
			"brood_worker_cpu_seconds_total", Counter, worker(modes),
			"CPU time used by all processes the slot has had in seconds, without their children.", true, fromFinal,
		},
		workerRSS: {
			"brood_worker_resident_memory_bytes", Gauge, worker(),
			"Resident memory of the process in the slot in bytes.", true, fromStat,
		},
		workerVirtual: {
			"brood_worker_virtual_memory_bytes", Gauge, worker(),
			"Virtual memory of the process in the slot in bytes.", false, fromStat,
		},
		workerThreads: {
			"brood_worker_threads", Gauge, worker(),
			"Threads of the process in the slot.", false, fromStat,
		},
		workerFaults: {
			"brood_worker_page_faults_total", Counter, worker(Label{"type", []string{"minor", "major"}}),
			"Page faults of all processes the slot has had.", false, fromFinal,
		},
		workerOpenFDs: {
			"brood_worker_open_fds", Gauge, worker(),
			"Open file descriptors of the process in the slot.", false, "/proc/PID/fd",
		},
		workerMaxFDs: {
			"brood_worker_max_fds", Gauge, worker(),
			"Soft limit on open file descriptors of the process in the slot.", false, "prlimit(2), /proc/PID/limits",
		},
		workerIO: {
			"brood_worker_disk_io_bytes_total", Counter, worker(Label{"direction", []string{"read", "write"}}),
			"Bytes that all processes the slot has had made storage read or write; absent until it could be read once.", false,
			"/proc/PID/io, the zombie's at the end",
		},

		workerOrphans: {
			"brood_worker_orphans_reaped_total", Counter, worker(),
			"Descendants of the slot's workers that lost their parent and that brood has reaped, as far as it is known whose they were.", false, fromEvents,
		},
		workerZombies: {
			"brood_worker_zombies", Gauge, worker(),
			"Ended processes below the worker in the slot that their parent does not wait for; absent when too many processes are there to look at.", false, fromCensus,
		},
		workerAdopted: {
			"brood_worker_adopted_processes", Gauge, worker(),
			"Living descendants of the slot's workers that lost their parent and are brood's children now; absent when too many processes are there to look at.", false, fromCensus,
		},

		buildInfo: {
			"brood_build_info", Gauge,
			[]Label{{Name: "goversion"}, {Name: "revision"}, {Name: "version"}},
			"Build metadata; the value is always 1.", true, fromBuild,
		},
		broodState: {
			"brood_state", Gauge, labelled("state", names(phases())...),
			"What brood as a whole is doing; exactly one is 1.", true, fromSnapshot,
		},
		workersDesired: {
			"brood_workers_desired", Gauge, nil,
			"Number of workers that are wanted.", true, fromSnapshot,
		},
		limitsFollowed: {
			"brood_limits_followed", Gauge, nil,
			"Whether the number of wanted workers follows the container's limits.", true, fromSnapshot,
		},
		scalings: {
			"brood_scalings_total", Counter, labelled("cause", scaleCauses()...),
			"Changes of the number of wanted workers.", true, fromEvents,
		},
		reloading: {
			"brood_reloading", Gauge, nil,
			"Whether a reload is under way.", true, fromSnapshot,
		},
		reloads: {
			"brood_reloads_total", Counter, labelled("result", changeResults()...),
			"Reloads that have ended.", true, fromEvents,
		},
		replacements: {
			"brood_replacements_total", Counter,
			[]Label{{"cause", replaceCauses()}, {"result", changeResults()}},
			"Workers that were replaced while they ran: a success is ready, a failure ended before.", true, fromEvents,
		},
		probeFailures: {
			"brood_probe_failures_total", Counter, nil,
			"Ready workers that did not answer a probe.", true, fromEvents,
		},
		workerCountInfo: {
			"brood_worker_count_info", Gauge, labelled("source"),
			"What decided the number of workers; the value is always 1.", true, fromSnapshot,
		},
		processCPU: {
			"brood_process_cpu_seconds_total", Counter, nil,
			"User and system CPU time used by brood itself in seconds.", true, fromStat,
		},
		processRSS: {
			"brood_process_resident_memory_bytes", Gauge, nil,
			"Resident memory of brood itself in bytes.", true, fromStat,
		},
		processOpenFDs: {
			"brood_process_open_fds", Gauge, nil,
			"Open file descriptors of brood itself.", true, "/proc/PID/fd",
		},
		processGoroutines: {
			"brood_process_goroutines", Gauge, nil,
			"Goroutines of brood itself.", true, fromGatherer,
		},
		processStartTime: {
			"brood_process_start_time_seconds", Gauge, nil,
			"Time brood was started, since unix epoch in seconds.", true, fromGatherer,
		},
		signalsReceived: {
			"brood_signals_received_total", Counter, labelled("signal"),
			"Signals that arrived at brood, without SIGCHLD.", true, fromEvents,
		},
		signalsForwarded: {
			"brood_signals_forwarded_total", Counter, labelled("signal"),
			"Deliveries of forwarded signals to workers: one signal to three workers counts three.", true, fromEvents,
		},
		reapedProcesses: {
			"brood_reaped_processes_total", Counter, labelled("kind", reapedKinds()...),
			"Ended processes that brood has reaped.", true, fromEvents,
		},
		reapedCodes: {
			"brood_reaped_exit_codes_total", Counter, labelled("code"),
			"Reaped processes that exited, by exit code.", true, fromEvents,
		},
		reapedSignals: {
			"brood_reaped_exit_signals_total", Counter, labelled("signal"),
			"Reaped processes that a signal ended, by signal.", true, fromEvents,
		},
		reapedOrphans: {
			"brood_reaped_orphans_total", Counter, labelled("origin", orphanOrigins()...),
			"Orphans that brood has reaped, by what they descended from.", true, fromEvents,
		},
		zombies: {
			"brood_zombies", Gauge, nil,
			"Children of brood that have ended and are not reaped yet; absent when they cannot be counted cheaply.", true,
			"/proc/PID/task/TID/children, /proc/PID/stat",
		},
		processes: {
			"brood_processes", Gauge, nil,
			"Processes in the container; absent when brood is not its first process.", true, "/proc",
		},
		hookRuns: {
			"brood_hook_runs_total", Counter,
			[]Label{{"hook", names(hookNames[:])}, {"result", hookResults()}},
			"Hooks that have ended, or could not be started.", true, fromEvents,
		},
		hookDuration: {
			"brood_hook_last_duration_seconds", Gauge, labelled("hook"),
			"Duration of the hook's last run in seconds; absent before the first.", true, fromEvents,
		},
		hooksDropped: {
			"brood_hooks_dropped_total", Counter, nil,
			"Exit hooks that were not run because too many were waiting.", true, fromEvents,
		},
		registeredCount: {
			"brood_registered_processes", Gauge, nil,
			"Living processes that have registered themselves by a PID file, as of the engine's last look.", true, fromSnapshot,
		},
		registeredCPU: {
			"brood_registered_cpu_seconds_total", Counter,
			[]Label{{Name: "index"}, modes},
			"CPU time used by the processes registered under the index in seconds, as far as it was seen.", true, fromStat,
		},
		registeredRSS: {
			"brood_registered_resident_memory_bytes", Gauge, labelled("index"),
			"Resident memory of the processes registered under the index in bytes.", true, fromStat,
		},
		pidfileProblems: {
			"brood_pidfile_problems_total", Counter, labelled("kind", problemKinds()...),
			"PID files that are not acted on, each once, and files that could not be written or removed (other).", true, fromEvents,
		},
		panics: {
			"brood_panics_total", Counter, nil,
			"Mistakes that brood has found in itself.", true, fromEvents,
		},
		readErrors: {
			"brood_proc_read_errors_total", Counter, labelled("file", sources()...),
			"Reads under /proc and /sys that failed, for a worker's files once for each process.", true, fromGatherer,
		},
		requests: {
			"brood_metrics_requests_total", Counter, labelled("code", requestCodes()...),
			"Requests for this page, by the status code of the answer.", true, fromGatherer,
		},

		scrapeUp: {
			"brood_scrape_up", Gauge, worker(),
			"Whether the worker's own page is on this one (1) or could not be had (0); absent while it is not ready.", true, fromWorkers,
		},
		scrapeDuration: {
			"brood_scrape_duration_seconds", Gauge, worker(),
			"Time that it took to get the worker's own page and to read it in seconds.", true, fromWorkers,
		},
		scrapeSamples: {
			"brood_scrape_samples", Gauge, worker(),
			"Samples on the worker's own page, those included that are left out here.", true, fromWorkers,
		},
		scrapeDropped: {
			"brood_scrape_dropped_samples_total", Counter, labelled("reason", scraping.Drops()...),
			"Samples of workers' own pages that were left out.", true, fromWorkers,
		},
		scrapeFailures: {
			"brood_scrape_failures_total", Counter, labelled("reason", scraping.Failures()...),
			"Workers' own pages that could not be had.", true, fromWorkers,
		},

		cgroupCPULimit: {
			"brood_cgroup_cpu_limit_cores", Gauge, nil,
			"CPU limit in cores, the smallest of all visible groups; absent if there is none.", true, "cpu.max, cpu.cfs_quota_us",
		},
		cgroupCPUUsage: {
			"brood_cgroup_cpu_usage_seconds_total", Counter, nil,
			"CPU time used by the control group in seconds.", true, "cpu.stat, cpuacct.usage",
		},
		cgroupPeriods: {
			"brood_cgroup_cpu_periods_total", Counter, nil,
			"Enforcement periods of the CPU limit in which the control group ran.", true, "cpu.stat",
		},
		cgroupThrottledPeriods: {
			"brood_cgroup_cpu_throttled_periods_total", Counter, nil,
			"Enforcement periods of the CPU limit in which the control group was throttled.", true, "cpu.stat",
		},
		cgroupThrottledTime: {
			"brood_cgroup_cpu_throttled_seconds_total", Counter, nil,
			"Time that the control group was throttled in seconds.", true, "cpu.stat",
		},
		cgroupMemory: {
			"brood_cgroup_memory_usage_bytes", Gauge, nil,
			"Memory charged to the control group in bytes.", true, "memory.current, memory.usage_in_bytes",
		},
		cgroupWorkingSet: {
			"brood_cgroup_memory_working_set_bytes", Gauge, nil,
			"Memory charged to the control group without the inactive file cache in bytes.", true, "memory.stat",
		},
		cgroupMemoryPeak: {
			"brood_cgroup_memory_peak_bytes", Gauge, nil,
			"The most memory that was ever charged to the control group in bytes.", true, "memory.peak, memory.max_usage_in_bytes",
		},
		cgroupMemoryLimit: {
			"brood_cgroup_memory_limit_bytes", Gauge, nil,
			"Memory limit in bytes, the smallest of all visible groups; absent if there is none.", true, "memory.max, memory.limit_in_bytes",
		},
		cgroupMemoryEvents: {
			"brood_cgroup_memory_events_total", Counter, labelled("event", memoryEvents()...),
			"Memory events of the control group, those that the kernel counts.", true, "memory.events, memory.oom_control",
		},
		cgroupPIDs: {
			"brood_cgroup_pids", Gauge, nil,
			"Tasks in the control group, threads included.", true, "pids.current",
		},
		cgroupPIDsLimit: {
			"brood_cgroup_pids_limit", Gauge, nil,
			"Limit on tasks, the smallest of all visible groups; absent if there is none.", true, "pids.max",
		},
		cgroupCPUWaiting:    pressure(cgroup.CPU, "waiting", "some"),
		cgroupCPUStalled:    pressure(cgroup.CPU, "stalled", "all"),
		cgroupMemoryWaiting: pressure(cgroup.Memory, "waiting", "some"),
		cgroupMemoryStalled: pressure(cgroup.Memory, "stalled", "all"),
		cgroupIOWaiting:     pressure(cgroup.IO, "waiting", "some"),
		cgroupIOStalled:     pressure(cgroup.IO, "stalled", "all"),
	}
}

// pressure describes a figure of the control group's pressure; cAdvisor calls
// them the same.
func pressure(of cgroup.Resource, kind, tasks string) Descriptor {
	return Descriptor{
		"brood_cgroup_pressure_" + of.String() + "_" + kind + "_seconds_total", Counter, nil,
		"Time that " + tasks + " tasks of the control group waited for " + of.String() + " in seconds; cgroup v2 only.", true,
		of.String() + ".pressure",
	}
}
