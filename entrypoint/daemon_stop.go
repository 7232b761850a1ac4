package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/pidfiles"
)

// stop stops what runs, and what a dead master has left. quiet leaves out that
// there was nothing to do.
func (d *daemon) stop(quiet bool) int {
	sites, err := d.sites()
	if err != nil {
		return d.fail("stop", err)
	}
	any := false
	for _, s := range sites {
		var did bool
		if err == nil {
			did, err = d.stopAt(s)
		}
		any = any || did
		s.close()
	}
	switch {
	case err != nil:
		return d.fail("stop", err)
	case any:
		d.say("stopped")
	case !quiet:
		d.say("not running")
	}
	return 0
}

// margin is what a master may need beyond its budget before it counts as stuck,
// and a killed one to end.
const (
	margin     = time.Second
	killedEnds = 10 * time.Second
)

var (
	errInterrupted = errors.New("interrupted")
	errStillThere  = errors.New("it does not end")
)

// stopAt stops everybody who is listed at a site: the master, which stops
// the others, or the others of a master that is dead. When it returns without
// an error, nobody is left and no file is.
func (d *daemon) stopAt(s site) (did bool, err error) {
	patience := time.Now().Add(d.cfg.schedule().Budget + margin + killedEnds)
	for !s.empty() {
		if master, _ := s.own.FindMaster(); master != nil {
			did = true
			err = d.endMaster(s.own, master)
			master.Close()
			if err != nil {
				return did, err
			}
			continue // its files: they are gone, unless it was killed
		}
		lock, err := s.own.LockDead()
		switch {
		case err == nil:
			for _, dir := range s.listed {
				some, endErr := d.endListed(dir)
				did, err = did || some, errors.Join(err, endErr)
			}
			return did, errors.Join(err, d.sweepSockets(s.own), lock.Release())
		case !errors.Is(err, pidfiles.ErrMasterAlive), time.Now().After(patience):
			return did, err // one in another PID namespace, say
		}
		// One that starts, or somebody else who stops: it will be over soon.
		if d.interrupted(daemonPoll) {
			return did, errInterrupted
		}
	}
	return did, nil
}

// endMaster asks the master to stop and waits until it has ended. One that
// takes longer than its budget is killed, and its workers with it.
func (d *daemon) endMaster(dir *pidfiles.Dir, master *pidfiles.Registered) error {
	deadline, asked := time.Now().Add(d.cfg.schedule().Budget+margin), false
	for !master.Ended() {
		if !asked {
			// Who asks second would hasten the stop.
			if release, first := dir.LockRequest(); first {
				defer release()
				by, err := d.askToStop(dir, master, deadline)
				if err != nil {
					return err
				}
				asked, deadline = true, later(deadline, by.Add(margin))
			}
		}
		if time.Now().After(deadline) {
			return d.kill(master)
		}
		if d.endedWithin(daemonPoll, master) {
			return nil
		}
		if d.interrupted(0) {
			return errInterrupted
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// endedWithin waits on the pidfd, or for the whole time where there is none.
func (d *daemon) endedWithin(most time.Duration, p *pidfiles.Registered) bool {
	poll := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}
	_, _ = unix.Poll(poll, int(most.Milliseconds())) // -1 is left out, and waited for
	return p.Ended()
}

// askToStop asks by the control socket, which does no harm twice, or else by a
// signal. It returns when the master will have left; zero if it does not say.
func (d *daemon) askToStop(dir *pidfiles.Dir, master *pidfiles.Registered, deadline time.Time) (by time.Time, err error) {
	path, _ := d.cfg.controlPath(dir.Pattern().String())
	if path != "" {
		// A master that is stuck does not answer, and has half the time to.
		ctx, cancel := context.WithTimeout(context.Background(), min(askTimeout, time.Until(deadline)/2))
		defer cancel()
		client := control.NewClient(path)
		if s, err := client.Status(ctx); err == nil && s.PID == master.PID {
			return d.askClient(ctx, client, master)
		}
	}
	if err := master.Signal(unix.SIGTERM); err != nil && !errors.Is(err, pidfiles.ErrEnded) {
		return by, err
	}
	return by, nil
}

// askClient returns once the stop has begun, which ctx ending does not end: the
// answer itself would last until the master has left.
func (d *daemon) askClient(ctx context.Context, client *control.Client, master *pidfiles.Registered) (by time.Time, err error) {
	go func() { _ = client.Stop(ctx, func([]byte) error { return nil }) }()
	for !d.endedWithin(daemonPoll/5, master) {
		s, err := client.Status(ctx)
		switch {
		case err == nil && s.StopBy != nil:
			return *s.StopBy, nil
		case ctx.Err() != nil:
			if err := master.Signal(unix.SIGTERM); err != nil && !errors.Is(err, pidfiles.ErrEnded) {
				return by, err
			}
			return by, nil
		}
	}
	return by, nil
}

// kill ends a master that does not end by itself.
func (d *daemon) kill(master *pidfiles.Registered) error {
	fmt.Fprintf(d.stderr, "%s: process %d has not ended in its time, killing it\n", d.cfg.program.name(), master.PID)
	if err := master.Signal(unix.SIGKILL); err != nil && !errors.Is(err, pidfiles.ErrEnded) {
		return err
	}
	for end := time.Now().Add(killedEnds); !d.endedWithin(daemonPoll, master); {
		if time.Now().After(end) {
			return fmt.Errorf("process %d: %w", master.PID, errStillThere)
		}
	}
	return nil
}

// endListed stops the processes that a dead master has left in PID files, as it
// would have: SIGTERM, the grace, SIGKILL. Their files go with them.
func (d *daemon) endListed(dir *pidfiles.Dir) (did bool, err error) {
	grace := time.Now().Add(d.cfg.schedule().Grace)
	told, killed := make(map[pidfiles.ID]bool), make(map[pidfiles.ID]bool)
	for end := grace.Add(killedEnds); ; {
		listed, _ := dir.List(nil) // what is wrong with the others stays theirs
		left := len(listed)
		for _, p := range listed {
			switch id := p.ID(); {
			case !told[id]:
				told[id], did = true, true
				err = errors.Join(err, signalled(p, unix.SIGTERM))
			case time.Now().After(grace) && !killed[id]:
				killed[id] = true
				err = errors.Join(err, signalled(p, unix.SIGKILL))
			}
			p.Close()
		}
		switch {
		case left == 0 || err != nil:
			_, _ = dir.CleanStale() // a file that stays is harmless
			return did, err
		case time.Now().After(end):
			return did, fmt.Errorf("%d registered processes: %w", left, errStillThere)
		}
		if d.interrupted(daemonPoll / 2) {
			return did, errInterrupted
		}
	}
}

func signalled(p *pidfiles.Registered, sig unix.Signal) error {
	if err := p.Signal(sig); err != nil && !errors.Is(err, pidfiles.ErrEnded) {
		return err
	}
	return nil
}

// sweepSockets removes the sockets that a dead master has left beside its PID
// files. The lock on those says that no other one uses them.
func (d *daemon) sweepSockets(dir *pidfiles.Dir) error {
	pattern := dir.Pattern().String()
	stem := strings.TrimSuffix(pattern, filepath.Ext(pattern))
	path, _ := d.cfg.controlPath(pattern)
	left, err := filepath.Glob(escapeGlob(stem) + ".notify.*.sock")
	if path != "" {
		left = append(left, path)
	}
	for _, socket := range left {
		if info, lookErr := os.Lstat(socket); lookErr != nil || info.Mode().Type() != os.ModeSocket {
			continue
		}
		if conn, dialErr := net.DialTimeout("unix", socket, askTimeout); dialErr == nil {
			_ = conn.Close() // somebody else's
			continue
		}
		err = errors.Join(err, os.Remove(socket))
	}
	return err
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
