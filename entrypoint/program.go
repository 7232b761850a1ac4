package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/expand"
)

// Program is what runs here: the command brood, which is the zero Program, or a
// service written in Go that is its own brood.
type Program struct {
	// Name begins what is said about the command line, and that of the default
	// PID files; empty is brood.
	Name string
	// Service is nil for the command.
	Service *Service

	detached *os.File // in a daemon: where it reports how its start went
}

// Service is a program that starts itself as its workers. Its command line has
// brood's flags and verbs; the words after -- are the program's own.
type Service struct {
	// Path is what workers execute, with a slash in it.
	Path string
	// Defaults are flags as on a command line. Environment, --env-file and the
	// real flags outrank them.
	Defaults []string
	// Worker makes the variable by which a worker knows what it is, as KEY and
	// value, from the signal that --stop-signal has chosen, or 0.
	Worker func(stop syscall.Signal) (key, value string)
	// Prepare and Finish run in this process instead of the hooks; nil for none.
	Prepare, Finish func(ctx context.Context) error
}

func (p Program) name() string {
	if p.Name == "" {
		return "brood"
	}
	return p.Name
}

// pidFile is the name of the default PID files.
func (p Program) pidFile() string { return p.name() + ".pid" }

// takeDefaults reads the service's own flags.
func (c *Config) takeDefaults() error {
	if c.program.Service == nil {
		return nil
	}
	rows := make([]bound, len(c.rows))
	for i, row := range c.rows {
		rows[i] = bound{row.setting, coded{row.field}}
	}
	const where = " (in the program's own defaults)"
	l, err := parseLine(rows, c.program.Service.Defaults)
	if usage, ok := errors.AsType[*UsageError](err); ok {
		usage.Setting += where
		return usage
	}
	if err == nil && len(l.command) > 0 {
		err = &UsageError{Setting: l.command[0] + where, Remedy: "it is no flag"}
	}
	return err
}

// coded is a field whose flag stands in the program's code.
type coded struct{ field }

func (c coded) Set(text string) error { return c.take(text, SourceProgram) }

// setCommand settles what workers execute, after the words of a command line.
func (c *Config) setCommand(l commandLine) error {
	s := c.program.Service
	switch {
	case s == nil:
		c.Command = l.command
		return nil
	case !l.dashed && len(l.command) > 0:
		return &UsageError{Setting: l.command[0], Remedy: "it is no flag; words for the program itself come after --"}
	}
	c.Command = append([]string{s.Path}, l.command...)
	return nil
}

// validateService refuses hooks where functions of the program have their place.
func (c *Config) validateService() error {
	s := c.program.Service
	if s == nil {
		return nil
	}
	for _, hook := range []struct {
		setting *value[[]string]
		task    func(context.Context) error
		name    string
	}{{&c.Prepare, s.Prepare, "Prepare"}, {&c.Finish, s.Finish, "Finish"}} {
		if hook.task != nil && len(hook.setting.Value) > 0 {
			return &UsageError{
				Setting: c.name(hook.setting), Value: hook.setting.String(),
				Remedy: "the program has a " + hook.name + " of its own: leave it out",
			}
		}
	}
	return nil
}

// hasTasks reports whether code of the service runs in brood's own process,
// which then has to be like any Go program: in the directory that it was
// started in, and with the memory that it wants.
func (c *Config) hasTasks() bool {
	s := c.program.Service
	return s != nil && (s.Prepare != nil || s.Finish != nil)
}

// workerVariables are those of --env, and the service's.
func (c *Config) workerVariables() ([]fanout.Variable, error) {
	if c.program.Service == nil {
		return c.Env.Value, nil
	}
	key, text := c.program.Service.Worker(c.StopSignal.Value)
	template, err := expand.Compile(text)
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(c.Env.Value), fanout.Variable{Key: key, Value: template}), nil
}

// Codes of a task, as the process of a Go program would end with them.
const (
	codeError = 1
	codePanic = 2
)

// task makes a hook of a function. The environment of this process becomes the
// one that hooks get, and what the function changes of it is for the workers.
func (c *Config) task(run func(ctx context.Context) error) fanout.Task {
	if run == nil {
		return nil
	}
	return func(ctx context.Context, environ []string) fanout.TaskResult {
		become(environ)
		code, err := runTask(ctx, run)
		return fanout.TaskResult{Code: code, Err: err, Environment: survey(os.Environ(), c.rows).worker}
	}
}

// runTask makes a panic an error, and shows where it came from as the runtime
// would.
func runTask(ctx context.Context, run func(ctx context.Context) error) (code int, err error) {
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n\n%s", v, debug.Stack())
			code, err = codePanic, fmt.Errorf("panic: %v", v)
		}
	}()
	if err := run(ctx); err != nil {
		return codeError, err
	}
	return 0, nil
}

// become makes environ that of this process.
func become(environ []string) {
	wanted := make(map[string]bool, len(environ))
	for _, entry := range environ {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			wanted[key] = true
			_ = os.Setenv(key, value) // it came out of an environment
		}
	}
	for _, entry := range os.Environ() {
		if key, _, _ := strings.Cut(entry, "="); !wanted[key] {
			_ = os.Unsetenv(key)
		}
	}
}
