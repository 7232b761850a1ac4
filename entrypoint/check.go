package entrypoint

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/pidfiles"
)

// system is what check has to find out about where it runs.
type system struct {
	limits func() (cgroup.Limits, error)
	// oomGroup reports whether all die when one runs out of memory.
	oomGroup func() bool
	// lookUp finds the command's file. Its error says why it cannot be run,
	// with the exit code that brood would have.
	lookUp func(command string, environ []string) (path string, code int, err error)
	// pidDirs are the directories that the default PID-file pattern may be in.
	pidDirs func() []string
}

func newSystem() system {
	return system{
		limits: func() (cgroup.Limits, error) { return cgroup.Read("/", nil) },
		oomGroup: func() bool {
			group, err := cgroup.Locate("/")
			return err == nil && group.OOMGroup()
		},
		lookUp:  lookUpCommand,
		pidDirs: func() []string { return pidfiles.DefaultDirs(os.Geteuid(), os.Getenv, pidfiles.MountNamespace) },
	}
}

// checkVerb says what would run and why, and runs nothing.
func checkVerb(from caller, on system, code *int) *cobra.Command {
	config := newConfig(from.Program)
	var l commandLine
	verb := &cobra.Command{
		Use:   "check [flags] -- command [args...]",
		Short: "print what would run here and why, then exit",
		Long: `It takes all flags of brood and reads the same variables. The code is 0 if the
command could be run, 2 if a setting cannot be used, 126 if the command cannot
be executed and 127 if it was not found.`,
		RunE: func(verb *cobra.Command, _ []string) error {
			if l.version {
				writeVersion(verb.OutOrStdout())
				return nil
			}
			if err := config.takeDefaults(); err != nil {
				return err
			}
			var err error
			if l.command, err = commandIn(verb.Flags()); err != nil {
				return err
			}
			l.dashed = verb.Flags().ArgsLenAtDash() >= 0
			if err := config.setCommand(l); err != nil {
				return err
			}
			if err := config.complete(from.environ); err != nil {
				return err
			}
			if err := config.permitted(); err != nil {
				return err
			}
			*code = check(verb.OutOrStdout(), config, on)
			return nil
		},
	}
	addFlags(verb, config.rows, &l)
	return verb
}

// check writes the report and returns the exit code.
func check(w io.Writer, c *Config, on system) int {
	limits, err := on.limits()
	warnings := c.Warnings
	if err != nil {
		warnings = append(warnings, "cannot read all limits: "+oneLine(err.Error()))
	}
	decision := c.count(limits)
	if decision.Warning != "" {
		warnings = append(warnings, decision.Warning)
	}
	if on.oomGroup() {
		warnings = append(warnings, oomGroupWarning)
	}

	item := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	code := c.checkCommand(item, on, c.firstEnviron(decision.N))
	item("processes", "%d (%s: %s)", decision.N, c.Processes.Source, decision.Reason)
	if decision.Path != "" {
		item("", "limited by %s", decision.Path)
	}
	if c.wantsStdin() {
		item("stdin", "goes to the worker")
	} else {
		item("stdin", "/dev/null for workers")
	}
	c.checkStop(item)
	c.checkPidfile(item, on)
	c.checkSettings(item)
	if err := c.checkWebConfig(); err != nil {
		warnings = append(warnings, err.Error()+"; brood would exit with "+strconv.Itoa(CodeUsage))
		code = max(code, CodeUsage)
	}
	for _, warning := range warnings {
		item("warning", "%s", warning)
	}
	return code
}

type reporter func(name, format string, args ...any)

func (c *Config) checkCommand(item reporter, on system, environ []string) int {
	if len(c.Command) == 0 {
		item("command", "none given, so nothing would run: brood check [flags] -- command [args...]")
		return 0
	}
	path, code, err := on.lookUp(c.Command[0], environ)
	if err != nil {
		item("command", "%s; brood would exit with %d", oneLine(err.Error()), code)
		return code
	}
	item("command", "%s, with %d arguments", oneLine(path), len(c.Command)-1)
	return 0
}

func (c *Config) checkStop(item reporter) {
	stop, timeout := c.schedule(), c.StopTimeout.Value
	why := "set by " + timeout.Reason
	if timeout.Auto {
		why = "auto: " + timeout.Reason
	}
	item("stop", "%s in all (%s)", stop.Budget, why)
	part := func(d time.Duration, does string) { item("", "%7s  %s", d, does) }
	part(stop.Drain, "drain: workers still serve")
	part(stop.Grace, "grace: from "+c.stopSignalName()+" to SIGKILL")
	part(stop.Sweep, "sweep: for stragglers")
	part(stop.Finish, "finish: for the hook")
	part(max(0, stop.Budget-stop.Drain-stop.Grace-stop.Sweep-stop.Finish), "leave: for removing files and the last lines")
}

func (c *Config) checkPidfile(item reporter, on system) {
	pattern := c.Pidfile.Value
	if c.Pidfile.Source.Explicit() {
		item("PID files", "%s, of which slot 1 has %s", pattern, pattern.Path(1))
		return
	}
	where := ""
	if owner := c.workersOwner(); owner != 0 {
		where = fmt.Sprintf("%d, which belongs to that user, below ", owner)
	}
	item("PID files", "%s.<slot>.pid in %sthe first usable of %s", c.program.name(), where, strings.Join(on.pidDirs(), ", "))
	if c.Pidfile.Source == SourceInherited {
		item("", "not %s, which belongs to the brood around this one", pattern)
	}
}

// checkSettings lists what is not default, and of secrets the names only.
func (c *Config) checkSettings(item reporter) {
	name := "settings"
	for _, row := range c.rows {
		if row.field.source() == SourceDefault {
			continue
		}
		shown := make([]string, 0, len(row.field.texts()))
		for _, text := range row.field.texts() {
			shown = append(shown, oneLine(row.public(text)))
		}
		item(name, "%s %s (%s)", row.name, strings.Join(shown, ", "), row.field.source())
		name = ""
	}
}
