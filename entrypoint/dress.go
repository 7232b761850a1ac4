package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/output"
	"github.com/brood-init/brood/internal/sockets"
	"github.com/brood-init/brood/internal/staging"
)

// dress makes what workers get beside their command. It is called where brood
// was started, since a path may be relative to that. What cannot be had was
// asked for: nothing is started then.
func (c *Config) dress(environ []string, reg registry, stdout, stderr *os.File) (fanout.Dress, error) {
	d := fanout.Dress{
		// Who feeds no watchdog and is not waited for has nothing to say.
		Notify: c.Ready.Value.Notify || c.Watchdog.Value > 0,
		User:   c.User.Value, NoNewPrivs: c.NoNewPrivs.Value, Limits: c.Rlimit.Value,
	}
	if reg.own != nil {
		// Named after the PID files and beside the control socket: in a directory
		// of another user's, who may rename all that is in it, root could not give a
		// socket away.
		d.NotifyDir = reg.own.Pattern().Dir()
		name := filepath.Base(reg.own.Pattern().String())
		d.NotifyName = strings.TrimSuffix(name, filepath.Ext(name)) + ".notify"
	}
	if d.User != nil && slices.ContainsFunc(c.Env.Value, func(v fanout.Variable) bool { return v.Key == "HOME" }) {
		elsewhere := *d.User
		elsewhere.Home = "" // --env says where it is
		d.User = &elsewhere
	}
	if c.CPUAffinity.Value != nil {
		d.CPUs = *c.CPUAffinity.Value
	}
	if err := c.openSockets(&d, environ); err != nil {
		return d, err
	}
	if c.needsStage(d) {
		stage, err := staging.New("/proc")
		if err != nil {
			return d, err
		}
		d.Stage = stage
	}
	if mode := c.Output.Value; mode != OutputInherit {
		d.Output = output.New(output.Options{Mode: output.Mode(mode), Stdout: stdout, Stderr: stderr})
	}
	return d, nil
}

// permitted refuses what brood has no right to give to a worker. CPUs were looked
// at when they were read.
func (c *Config) permitted() error {
	if u := c.User.Value; u != nil {
		if err := u.Permitted(); err != nil {
			return &UsageError{Setting: c.name(&c.User), Value: c.User.String(), Remedy: err.Error()}
		}
	}
	for _, l := range c.Rlimit.Value {
		if err := l.Permitted(); err != nil {
			return &UsageError{Setting: c.name(&c.Rlimit), Value: l.String(), Remedy: err.Error()}
		}
	}
	return nil
}

func (c *Config) needsStage(d fanout.Dress) bool {
	return d.Sockets != nil || d.User != nil || d.NoNewPrivs || len(d.Limits) > 0 || c.CPUAffinity.Value != nil
}

// openSockets binds what is to be shared, or takes what brood was given by
// whoever started it.
func (c *Config) openSockets(d *fanout.Dress, environ []string) error {
	wrong := func(err error) error {
		return &UsageError{Setting: c.name(&c.Listen), Value: c.Listen.String(), Remedy: err.Error()}
	}
	inherited, err := sockets.Inherited(environ, os.Getpid())
	if err != nil {
		return wrong(err)
	}
	if len(c.Listen.Value) == 0 && len(inherited) == 0 {
		return nil
	}
	var owner *sockets.Owner
	if u := c.User.Value; u != nil {
		owner = &sockets.Owner{UID: int(u.UID), GID: int(u.GID)}
	}
	set, err := sockets.Open(c.Listen.Value, inherited, owner)
	if err != nil {
		return wrong(err)
	}
	d.Sockets = set
	return nil
}

// drainOutput is how long what workers have written may take to be read and
// written out at the end.
const drainOutput = 200 * time.Millisecond

// undress gives back what was made, when all workers have ended.
func undress(d fanout.Dress) error {
	var err error
	if d.Sockets != nil {
		d.Sockets.Close()
		err = d.Sockets.Remove()
	}
	if d.Output != nil {
		d.Output.Close(drainOutput)
		if lines, bytes := d.Output.Dropped(); lines > 0 {
			err = errors.Join(err, fmt.Errorf("%d lines (%d bytes) of the workers' output were dropped: nobody has read them in time", lines, bytes))
		}
	}
	if d.Stage != nil {
		d.Stage.Close()
	}
	return err
}
