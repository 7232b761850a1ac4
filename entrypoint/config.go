package entrypoint

import (
	"errors"
	"slices"

	"github.com/brood-init/brood/internal/expand"
)

// Config is what flags, environment and env file say together. Each setting is
// a field with its Value and its Source.
type Config struct {
	settings

	// Command is the service's argv; Load never returns it empty.
	Command []string
	// Warnings are lines for the log; nothing in them keeps brood from going on.
	Warnings []string
	// WorkerEnviron is what workers and hooks inherit: the real environment
	// and below it the env file's variables, without anything meant for brood.
	WorkerEnviron []string

	program   Program
	rows      []bound           // the table, tied to settings
	arguments []expand.Template // of Command[1:], when those are expanded
}

// newConfig has the defaults.
func newConfig(p Program) *Config {
	c := &Config{program: p}
	c.rows = bind(&c.settings)
	return c
}

// ErrHelp says that help or the version was asked for among the flags, which
// dispatch answers.
var ErrHelp = errors.New("help was asked for")

// Load reads the configuration. environ must be the environment of this
// process, because envconfig looks there for the settings. A setting that
// cannot be honoured is a *UsageError.
func Load(args, environ []string) (*Config, error) { return Program{}.load(args, environ) }

func (p Program) load(args, environ []string) (*Config, error) {
	config, err := p.loadAny(args, environ)
	if err != nil {
		return nil, err
	}
	if action, _, _ := config.daemonAction(); len(config.Command) == 0 && action != DaemonStop {
		return nil, errNoCommand()
	}
	return config, nil
}

func errNoCommand() error {
	return &UsageError{Setting: "a command line without a command", Remedy: "want brood [flags] -- command [args...]"}
}

// loadAny is load for those who can do without a command.
func (p Program) loadAny(args, environ []string) (*Config, error) {
	config := newConfig(p)
	if err := config.takeDefaults(); err != nil {
		return nil, err
	}
	parsed, err := parseLine(config.rows, args)
	if err != nil {
		return nil, err
	}
	if err := config.setCommand(parsed); err != nil {
		return nil, err
	}
	if err := config.complete(environ); err != nil {
		return nil, err
	}
	return config, nil
}

// complete adds to the flags, which are set, everything else.
func (c *Config) complete(environ []string) error {
	found := survey(environ, c.rows)
	if err := readEnvironment(&c.settings, c.rows, found); err != nil {
		return err
	}
	c.WorkerEnviron = found.worker
	c.Warnings = unknownWarnings(found.unknown, c.rows, "")
	if path := c.EnvFile.Value; path != "" {
		if err := c.readFile(path); err != nil {
			return err
		}
	}
	c.settleStopTimeout(found.kubernetes)
	return c.validate()
}

func (c *Config) readFile(path string) error {
	file, err := readEnvFile(path, c.rows)
	if err != nil {
		return &UsageError{Setting: c.name(&c.EnvFile), Value: path, Remedy: err.Error()}
	}
	where := " in " + path
	if err := file.apply(c.rows, func(variable string) string { return variable + where }); err != nil {
		return err
	}
	for _, name := range file.ignored {
		if name == envPrefix+"_ENV_FILE" || isIdentity(name) {
			c.Warnings = append(c.Warnings, oneLine(name+where)+" has no effect, only the real environment can set it")
		}
	}
	file.ignored = slices.DeleteFunc(file.ignored, func(name string) bool {
		return name == envPrefix+"_ENV_FILE" || isIdentity(name)
	})
	c.Warnings = append(c.Warnings, unknownWarnings(file.ignored, c.rows, oneLine(where))...)
	c.WorkerEnviron = below(c.WorkerEnviron, file.worker)
	return nil
}

func (c *Config) settleStopTimeout(kubernetes bool) {
	timeout := &c.StopTimeout.Value
	switch {
	case !timeout.Auto:
		timeout.Reason = c.StopTimeout.Source.String()
	case kubernetes:
		timeout.Budget, timeout.Reason = stopTimeoutKubernetes, "kubernetes"
	default:
		timeout.Budget, timeout.Reason = stopTimeoutDocker, "default"
	}
}

// name is a setting as the user gave it.
func (c *Config) name(f field) string {
	for _, row := range c.rows {
		if row.field != f {
			continue
		}
		switch f.source() {
		case SourceEnvironment, SourceInherited:
			return row.variable()
		case SourceFile:
			return row.variable() + " in " + c.EnvFile.Value
		}
		return "--" + row.name
	}
	return ""
}
