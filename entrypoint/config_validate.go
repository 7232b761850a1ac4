package entrypoint

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/signame"
)

// validate checks the settings against each other.
func (c *Config) validate() error {
	if low, high := &c.MinProcesses, &c.MaxProcesses; high.Value > 0 && low.Value > high.Value {
		return &UsageError{
			Setting: c.name(&c.MinProcesses), Value: low.String(),
			Remedy: fmt.Sprintf("it is above %s %s, change one of them", c.name(&c.MaxProcesses), high.String()),
		}
	}
	if err := c.validateReplacement(); err != nil {
		return err
	}
	if err := c.validateDaemon(); err != nil {
		return err
	}
	if err := c.validateService(); err != nil {
		return err
	}
	if err := c.validateFinalMetrics(); err != nil {
		return err
	}
	if err := c.validateTerminationLog(); err != nil {
		return err
	}
	if err := c.validateListeners(); err != nil {
		return err
	}
	if c.ExpandArgs.Value {
		if err := c.compileArguments(); err != nil {
			return err
		}
	}
	c.warn()
	return nil
}

// validateReplacement refuses what would leave a worker that has to be replaced
// where it is for ever.
func (c *Config) validateReplacement() error {
	if c.MaxUnavailable.Value == 0 && c.MaxSurge.Value == 0 {
		return &UsageError{
			Setting: c.name(&c.MaxUnavailable), Value: c.MaxUnavailable.String(),
			Remedy: "without --max-surge no worker could ever be replaced: allow 1 of either",
		}
	}
	if c.FollowLimits.Value == FollowOn && !c.Processes.Value.Auto {
		return &UsageError{
			Setting: c.name(&c.FollowLimits), Value: c.FollowLimits.String(),
			Remedy: fmt.Sprintf("%s %s is a fixed number: leave out one of them, or use --processes auto", c.name(&c.Processes), c.Processes.String()),
		}
	}
	if c.MaxSurge.Value > 0 && len(c.Listen.Value) == 0 && c.usesIndexPorts() {
		return &UsageError{
			Setting: c.name(&c.MaxSurge), Value: c.MaxSurge.String(),
			Remedy: "two processes of a slot would meet on the port that {index} or {slot} gives it: share sockets by --listen instead, or leave it at 0",
		}
	}
	return nil
}

// validateFinalMetrics refuses a directory in which no file can be made, while
// there is somebody to tell.
func (c *Config) validateFinalMetrics() error {
	path := c.FinalMetrics.Value
	if path == "" || path == nowhere {
		return nil
	}
	if err := unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK); err != nil {
		return &UsageError{
			Setting: c.name(&c.FinalMetrics), Value: path,
			Remedy: fmt.Sprintf("no file can be made in %q: %s; name one in a directory that can be written", filepath.Dir(path), err),
		}
	}
	return nil
}

// validateTerminationLog refuses what cannot be written, or made if it is not
// there, while there is somebody to tell.
func (c *Config) validateTerminationLog() error {
	path := c.TerminationLog.Value
	if path == "" || path == nowhere {
		return nil
	}
	err := unix.Access(path, unix.W_OK)
	if err == unix.ENOENT {
		err = unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return &UsageError{
			Setting: c.name(&c.TerminationLog), Value: path,
			Remedy: fmt.Sprintf("it cannot be written: %s; name a file that can be", err),
		}
	}
	return nil
}

// wantsOne reports whether there is never more than one worker, unless somebody
// asks for more later.
func (c *Config) wantsOne() bool {
	n := c.Processes.Value
	return !n.Auto && n.Count <= 1
}

// validateListeners refuses a second listener in the place of the first.
func (c *Config) validateListeners() error {
	health := c.HealthAddr.Value
	if health == "" || health != c.MetricsAddr.Value || strings.HasSuffix(health, ":0") {
		return nil
	}
	return &UsageError{
		Setting: c.name(&c.HealthAddr), Value: health,
		Remedy: "that is " + c.name(&c.MetricsAddr) + ", where /livez and /readyz are anyway: choose another port, or leave it out",
	}
}

// usesIndexPorts reports whether a worker's identity makes up a port: an
// expression such as {8080+index} in a variable or an argument, and nothing is
// shared.
func (c *Config) usesIndexPorts() bool {
	for _, v := range c.Env.Value {
		if v.Value.UsesIdentity() && strings.Contains(v.Key, "PORT") {
			return true
		}
	}
	return false
}

func (c *Config) compileArguments() error {
	if len(c.Command) == 0 {
		return nil
	}
	c.arguments = make([]expand.Template, 0, len(c.Command)-1)
	braces := false
	for i, argument := range c.Command[1:] {
		template, err := expand.Compile(argument)
		if err != nil {
			// The whole argument might be a secret.
			return &UsageError{Setting: fmt.Sprintf("argument %d of the command", i+1), Remedy: err.Error() + "; or leave out --expand-args"}
		}
		c.arguments = append(c.arguments, template)
		braces = braces || strings.ContainsAny(argument, "{}")
	}
	if !braces {
		c.Warnings = append(c.Warnings, "--expand-args has nothing to expand: no argument of the command has {slot}, {index} or {count}")
	}
	return nil
}

// warn adds what can be honoured but is hardly meant.
func (c *Config) warn() {
	add := func(format string, args ...any) { c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...)) }
	if stop := c.schedule(); stop.Cut {
		add("--drain-delay %s leaves workers no time within --stop-timeout %s: it is cut to %s, give the stop more time",
			c.DrainDelay.Value, stop.Budget, stop.Drain)
	} else if !stop.Fits() {
		add("the parts of the stop do not fit into --stop-timeout %s: drain delay %s, finish hook %s; workers would be killed at once, give it more time",
			stop.Budget, stop.Drain, stop.Finish)
	}
	for _, rule := range c.Signal.Value {
		if signame.ClassOf(rule.From) == signame.Stop && rule.Action.Kind != fanout.ActionStop {
			add("%s %s: this signal no longer stops brood; to choose what workers get on a stop use --stop-signal", c.name(&c.Signal), rule)
		}
	}
	if c.WebConfigFile.Value != "" && c.MetricsAddr.Value == "" {
		add("%s protects nothing: there is no listener at --metrics-addr", c.name(&c.WebConfigFile))
	}
	if n := c.Processes.Value; !n.Auto && n.Count > 0 && c.ReadyMin.Value > n.Count {
		add("%s %d is more than %s %d: brood will never be ready", c.name(&c.ReadyMin), c.ReadyMin.Value, c.name(&c.Processes), n.Count)
	}
	if page := c.WorkerMetrics.Value; page != nil && !page.UsesIdentity() && !c.wantsOne() {
		add("%s %s is the same for all workers: with {slot} or {9100+index} in it each has a page of its own", c.name(&c.WorkerMetrics), page)
	}
	for _, hook := range []*value[[]string]{&c.Prepare, &c.Finish, &c.OnWorkerExit} {
		if word := shellSyntax(hook.Value); word != "" {
			add("%s has %q, which means nothing without a shell; write sh -c '...'", c.name(hook), word)
		}
	}
}
