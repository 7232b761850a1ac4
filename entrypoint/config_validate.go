package entrypoint

import (
	"fmt"
	"strings"

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
	if c.ExpandArgs.Value {
		if err := c.compileArguments(); err != nil {
			return err
		}
	}
	c.warn()
	return nil
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
	if stop := c.schedule(); !stop.Fits() {
		add("the parts of the stop do not fit into --stop-timeout %s: drain delay %s, finish hook %s; workers would be killed at once, give it more time",
			stop.Budget, stop.Drain, stop.Finish)
	}
	for _, rule := range c.Signal.Value {
		if signame.ClassOf(rule.From) == signame.Stop && rule.Action.Kind != fanout.ActionStop {
			add("%s %s: this signal no longer stops brood; to choose what workers get on a stop use --stop-signal", c.name(&c.Signal), rule)
		}
	}
	for _, hook := range []*value[[]string]{&c.Prepare, &c.Finish, &c.OnWorkerExit} {
		if word := shellSyntax(hook.Value); word != "" {
			add("%s has %q, which means nothing without a shell; write sh -c '...'", c.name(hook), word)
		}
	}
}
