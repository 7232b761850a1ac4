package entrypoint

import (
	"log/slog"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
)

// workerExitTimeout bounds each run of the hook for ended workers.
const workerExitTimeout = 5 * time.Second

// Plan is the configuration as the engine wants it, for count workers. What
// the caller must find out is left out: PIDFiles.
func (c *Config) Plan(count int) (fanout.Plan, error) {
	variables, err := c.workerVariables()
	if err != nil {
		return fanout.Plan{}, err
	}
	p := fanout.Plan{
		Command:           c.Command,
		Arguments:         c.arguments,
		Environment:       c.WorkerEnviron,
		WorkerEnvironment: variables,

		Count:        count,
		FollowLimits: c.followsLimits(),
		MaxCount:     c.MaxProcesses.Value,
		InheritStdin: c.wantsStdin(),
		Group:        c.Group.Value,

		Ready:        c.Ready.Value.Check,
		ReadyAfter:   c.Ready.Value.After,
		ReadyTimeout: c.ReadyTimeout.Value,
		Live:         c.Live.Value.Check,
		Watchdog:     c.Watchdog.Value,
		Disruption:   fanout.Disruption{MaxUnavailable: c.MaxUnavailable.Value, MaxSurge: c.MaxSurge.Value},
		MaxAge:       c.MaxAge.Value,
		MaxRSS:       c.MaxRss.Value,

		Restart:     c.Restart.Value,
		Backoff:     c.RestartBackoff.Value,
		MaxRestarts: c.MaxRestarts.Value,
		FailFast:    c.FailFast.Value,
		Leftovers:   c.Leftovers.Value,

		StopSignal:   c.StopSignal.Value,
		Stop:         c.schedule(),
		SecondSignal: c.SecondSignal.Value,
		Signals:      signalTable(c.Signal.Value, fanout.ActionReload),

		Prepare:      hook(c.Prepare.Value, c.PrepareTimeout.Value),
		Finish:       hook(c.Finish.Value, c.FinishTimeout.Value),
		OnWorkerExit: hook(c.OnWorkerExit.Value, workerExitTimeout),
	}
	if s := c.program.Service; s != nil {
		p.Prepare = inProcess(p.Prepare, c.task(s.Prepare), c.PrepareTimeout.Value)
		p.Finish = inProcess(p.Finish, c.task(s.Finish), c.FinishTimeout.Value)
	}
	if c.MinProcesses.Source.Explicit() {
		p.MinCount = c.MinProcesses.Value
	}
	if rules := c.ExitCode.Value; len(rules) > 0 {
		p.ExitCodes = make(map[int]int, len(rules))
		for _, rule := range rules {
			p.ExitCodes[rule.From] = rule.To
		}
	}
	return p, nil
}

// hook is the zero Hook when there is no command.
func hook(args []string, timeout time.Duration) fanout.Hook {
	if len(args) == 0 {
		return fanout.Hook{}
	}
	return fanout.Hook{Args: args, Timeout: timeout}
}

// inProcess is the hook that runs task, or the one there is without a task.
func inProcess(hook fanout.Hook, task fanout.Task, timeout time.Duration) fanout.Hook {
	if task == nil {
		return hook
	}
	return fanout.Hook{Task: task, Timeout: timeout}
}

// followsLimits reports whether the number of workers changes with the limits.
func (c *Config) followsLimits() bool {
	return c.Processes.Value.Auto && c.FollowLimits.Value != FollowOff
}

// wantsStdin reports whether the one worker takes brood's stdin. That auto
// comes to one worker somewhere must not change what a service reads.
func (c *Config) wantsStdin() bool {
	p := c.Processes
	return p.Source.Explicit() && !p.Value.Auto && p.Value.Count == 1
}

func (c *Config) schedule() fanout.Schedule {
	finish := c.FinishTimeout.Value
	if s := c.program.Service; len(c.Finish.Value) == 0 && (s == nil || s.Finish == nil) {
		finish = 0
	}
	return fanout.NewSchedule(c.StopTimeout.Value.Budget, c.DrainDelay.Value, finish)
}

// count is what decides the number of workers under these limits.
func (c *Config) count(limits cgroup.Limits) cgroup.Decision {
	requested := cgroup.Auto
	if !c.Processes.Value.Auto {
		requested = c.Processes.Value.Count
	}
	return cgroup.Count(cgroup.CountInput{
		Requested:        requested,
		Limits:           limits,
		Min:              c.MinProcesses.Value,
		Max:              c.MaxProcesses.Value,
		MemoryPerProcess: c.MemoryPerProcess.Value,
	})
}

func (c *Config) logJSON() bool { return c.LogFormat.Value == LogJSON }

func (c *Config) logLevel() slog.Level { return c.LogLevel.Value }

// stopTimeoutSource says why the stop timeout is what it is, for the log.
func (c *Config) stopTimeoutSource() string { return c.StopTimeout.Value.Reason }

// explicitPIDFile is the PID-file pattern if somebody has chosen one for this
// brood. One that the brood around this one has given us belongs to that.
func (c *Config) explicitPIDFile() (setting string, explicit bool) {
	return c.Pidfile.String(), c.Pidfile.Source.Explicit()
}

// pidFileError makes a UsageError of why the chosen PID files cannot be had.
func (c *Config) pidFileError(err error) error {
	return &UsageError{Setting: c.name(&c.Pidfile), Value: c.Pidfile.String(), Remedy: err.Error(), cause: err}
}
