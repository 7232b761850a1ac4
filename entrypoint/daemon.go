package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
)

// DaemonAction is what --daemon does.
type DaemonAction string

// The actions; the zero value is none of them, the foreground.
const (
	DaemonStart   DaemonAction = "start"
	DaemonStop    DaemonAction = "stop"
	DaemonRestart DaemonAction = "restart"
)

// The exit codes of --start, --stop and --restart are those that the Linux
// Standard Base has for init scripts. CodeUsage is its "invalid argument".
const (
	codeDaemonFailed       = 1
	codeDaemonNotPermitted = 4
	codeDaemonNotInstalled = 5
)

// wish is one setting's say in what to do.
type wish struct {
	action  DaemonAction // empty: the foreground
	setting field
	source  Source
}

// daemonAction is what the settings of the highest source that has any say; a
// wish for the foreground outranks the others of its source. setting is whose
// wish it was.
func (c *Config) daemonAction() (action DaemonAction, setting string, err error) {
	if c.program.detached != nil {
		return "", "", nil // this is the daemon
	}
	var wishes []wish
	for _, w := range []struct {
		is     bool
		action DaemonAction
		field  field
	}{
		{c.Nodaemon.Value, "", &c.Nodaemon},
		{c.Daemon.Value != "", c.Daemon.Value, &c.Daemon},
		{c.Start.Value, DaemonStart, &c.Start},
		{c.Stop.Value, DaemonStop, &c.Stop},
	} {
		if w.is {
			wishes = append(wishes, wish{w.action, w.field, w.field.source()})
		}
	}
	var chosen wish
	for _, w := range wishes {
		switch {
		case chosen.setting == nil || w.source > chosen.source:
			chosen = w
		case w.source == chosen.source && chosen.action != "" && w.action != chosen.action:
			return "", "", &UsageError{
				Setting: c.name(w.setting), Value: w.setting.String(),
				Remedy: fmt.Sprintf("%s %s says something else, leave one of them out", c.name(chosen.setting), chosen.setting.String()),
			}
		}
	}
	if chosen.setting == nil {
		return "", "", nil
	}
	return chosen.action, c.name(chosen.setting), nil
}

// validateDaemon refuses what cannot be done by init, and says what has no
// effect.
func (c *Config) validateDaemon() error {
	action, setting, err := c.daemonAction()
	if err != nil {
		return err
	}
	if os.Getpid() == 1 && (action == DaemonStart || action == DaemonRestart) {
		return &UsageError{Setting: setting, Remedy: "PID 1 of a container has to stay in the foreground, since the container ends with it: leave it out, or use --nodaemon"}
	}
	if action == "" && c.program.detached == nil && !c.Nodaemon.Value && c.LogFile.Source.Explicit() && c.LogFile.Value != "" {
		c.Warnings = append(c.Warnings, c.name(&c.LogFile)+" has no effect in the foreground; use --start, or a redirection of the shell")
	}
	return nil
}

// runDaemon does what is asked for in the place of running in the foreground.
func (c *Config) runDaemon(action DaemonAction, sig *signals, stdout, stderr *os.File) int {
	d := &daemon{cfg: c, sig: sig, stdout: stdout, stderr: stderr}
	if action != DaemonStart {
		if code := d.stop(action == DaemonRestart); code != 0 || action == DaemonStop {
			return code
		}
	}
	return d.start()
}

// daemon is the process that starts or stops one.
type daemon struct {
	cfg            *Config
	sig            *signals
	stdout, stderr *os.File
}

// say is the line for the user.
func (d *daemon) say(format string, args ...any) {
	fmt.Fprintf(d.stdout, "%s: %s\n", d.cfg.program.name(), fmt.Sprintf(format, args...))
}

// fail tells why it has not worked, and is the code for that.
func (d *daemon) fail(verb string, err error) int {
	fmt.Fprintf(d.stderr, "%s: cannot %s: %v\n", d.cfg.program.name(), verb, err)
	return lsbCode(err)
}

func lsbCode(err error) int {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return codeDaemonNotPermitted
	case isUsage(err):
		return CodeUsage
	}
	return codeDaemonFailed
}

func isUsage(err error) bool {
	usage, ok := errors.AsType[*UsageError](err)
	return ok && usage.cause == nil
}

// lsbStartCode is the code for a daemon that has ended with an outcome instead
// of becoming ready.
func lsbStartCode(code int) int {
	switch code {
	case fanout.CodeNotFound, fanout.CodeNotExecutable:
		return codeDaemonNotInstalled
	case CodeUsage, codeDaemonNotPermitted:
		return code
	}
	return codeDaemonFailed
}

// detachedMarker is the variable that makes a process the daemon. It names who
// has started it, and is taken at once.
const detachedMarker = "_BROOD_DAEMON"

// statusFD is where the daemon says how its start went.
const statusFD = 3

// takeDetached returns the environment without the marker, and where to report
// to in the daemon.
func takeDetached(environ []string, parent int) (rest []string, report *os.File) {
	value, found := os.LookupEnv(detachedMarker)
	if !found {
		return environ, nil
	}
	_ = os.Unsetenv(detachedMarker)
	for _, entry := range environ {
		if !strings.HasPrefix(entry, detachedMarker+"=") {
			rest = append(rest, entry)
		}
	}
	if value != strconv.Itoa(parent) {
		return rest, nil
	}
	unix.CloseOnExec(statusFD)
	unix.Umask(0o022) // whoever has started it had his own
	return rest, os.NewFile(statusFD, "status")
}
