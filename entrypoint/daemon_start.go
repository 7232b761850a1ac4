package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/self"
	"github.com/brood-init/brood/internal/signame"
	"github.com/brood-init/brood/pidfiles"
	"github.com/brood-init/brood/reaper"
)

// start starts the daemon and waits until its workers are ready. If one runs
// already, it waits for that one instead.
func (d *daemon) start() int {
	for deadline := time.Now().Add(d.cfg.ReadyTimeout.Value); ; {
		if code, decided := d.followOther(); decided {
			return code
		}
		report, err := d.startOne()
		switch {
		case err != nil:
			return d.fail("start", err)
		case report.OK:
			d.say("%s", report.success())
			return 0
		case !report.Taken, time.Now().After(deadline): // by one in another PID namespace, say
			return d.failedStart(report)
		}
		// Somebody was faster.
		if d.interrupted(daemonPoll) {
			return codeDaemonFailed
		}
	}
}

// failedStart tells why the daemon has ended, and where more may be found.
func (d *daemon) failedStart(report startReport) int {
	more := ""
	switch path := d.cfg.LogFile.Value; {
	case !report.Began:
	case path == "" || path == nowhere:
		more = " (--log-file keeps what is said meanwhile)"
	default:
		more = " (more in " + path + ")"
	}
	fmt.Fprintf(d.stderr, "%s: cannot start: %s%s\n", d.cfg.program.name(), report.Error, more)
	switch {
	case report.NotPermitted:
		return codeDaemonNotPermitted
	case report.Taken:
		return codeDaemonFailed
	}
	return lsbStartCode(report.Code)
}

// daemonPoll is how often what others do is looked at.
const daemonPoll = 50 * time.Millisecond

// interrupted waits for a while, and reports whether the user has lost patience.
func (d *daemon) interrupted(after time.Duration) bool {
	late := time.NewTimer(after)
	defer late.Stop()
	for {
		select {
		case sig := <-d.sig.rest:
			if isStop(sig) {
				return true
			}
		case <-late.C:
			return false
		}
	}
}

func isStop(sig os.Signal) bool {
	return signame.ClassOf(sig.(unix.Signal)) == signame.Stop || sig == unix.SIGHUP
}

// startOne runs the daemon up to its report. The error says why there is none.
func (d *daemon) startOne() (startReport, error) {
	log, err := d.openLog()
	if err != nil {
		return startReport{}, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return startReport{}, err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return startReport{}, err
	}
	defer r.Close()
	path, err := self.Path()
	if err != nil {
		return startReport{}, errors.Join(err, w.Close())
	}
	d.takeAllSignals()
	copied, err := reaper.StartDetached(reaper.DetachedSpec{
		Path: path, Args: os.Args, Env: append(os.Environ(), detachedMarker+"="+strconv.Itoa(os.Getpid())),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd(), w.Fd()},
	})
	_ = w.Close()
	if err != nil {
		return startReport{}, err
	}
	return d.await(copied, r)
}

// takeAllSignals is for the daemon, which shall not ignore what happens to be
// ignored here, as by nohup or by a shell for its background: execve(2) resets
// what is handled.
func (d *daemon) takeAllSignals() {
	for n := unix.Signal(1); n <= 64; n++ {
		switch signame.ClassOf(n) {
		case signame.Uncatchable, signame.Runtime:
		default:
			if n != unix.SIGCHLD && n != unix.SIGPIPE {
				signal.Notify(d.sig.rest, n)
			}
		}
	}
}

// openLog opens what the daemon writes to.
func (d *daemon) openLog() (*os.File, error) {
	path := d.cfg.LogFile.Value
	if path == "" || path == nowhere {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	// Non-blocking for the open only: a FIFO without a reader is an error then.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOCTTY|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, &UsageError{Setting: d.cfg.name(&d.cfg.LogFile), Value: path, Remedy: "want a file that can be written: " + err.Error(), cause: err}
	}
	return f, unix.SetNonblock(int(f.Fd()), false)
}

// await reads the report. A daemon that has failed has ended when await
// returns, and so has one whose start was interrupted.
func (d *daemon) await(copied *reaper.Detached, r *os.File) (startReport, error) {
	reports := make(chan startReport, 1)
	go func() {
		defer close(reports)
		if s, said := readReport(r); said {
			reports <- s
		}
	}()
	for {
		select {
		case s, said := <-reports:
			if said && s.OK {
				return s, nil
			}
			status := <-copied.Ended()
			if !said {
				s = startReport{Code: status.ExitCode(), Error: fmt.Sprintf("it has ended with code %d before it was ready", status.ExitCode())}
			}
			return s, nil
		case sig := <-d.sig.rest:
			if isStop(sig) {
				_ = copied.Signal(unix.SIGTERM) // it has ended: so much the better
				<-copied.Ended()
				return startReport{Code: codeDaemonFailed, Error: "interrupted by " + signame.Name(sig.(unix.Signal))}, nil
			}
		}
	}
}

// followOther looks whether one runs, and if it does waits until it has
// started. decided is false when there is none, or it has ended.
func (d *daemon) followOther() (code int, decided bool) {
	deadline := time.Now().Add(d.cfg.ReadyTimeout.Value)
	for {
		master, path, err := d.findMaster()
		if err != nil {
			return d.fail("start", err), true
		}
		if master == nil {
			return 0, false
		}
		pid := master.PID
		master.Close()
		started, stopping := d.ask(path)
		switch {
		case stopping:
		case started:
			d.say("runs already, pid %d", pid)
			return 0, true
		case time.Now().After(deadline):
			fmt.Fprintf(d.stderr, "%s: cannot start: another one runs, pid %d, and is not ready\n", d.cfg.program.name(), pid)
			return codeDaemonFailed, true
		}
		if d.interrupted(daemonPoll) {
			return codeDaemonFailed, true
		}
	}
}

// findMaster returns the living master and its control socket, or nil. The
// caller closes it.
func (d *daemon) findMaster() (*pidfiles.Registered, string, error) {
	sites, err := d.sites()
	if err != nil {
		return nil, "", err
	}
	var (
		found *pidfiles.Registered
		path  string
	)
	for _, s := range sites {
		if found == nil {
			found, _ = s.own.FindMaster() // what is wrong with the file is wrong with a dead one
			path, _ = d.cfg.controlPath(s.own.Pattern().String())
		}
		s.close()
	}
	return found, path, nil
}

// ask finds out how far a master is. One that nobody can ask runs.
func (d *daemon) ask(path string) (started, stopping bool) {
	if path == "" {
		return true, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	s, err := control.NewClient(path).Status(ctx)
	if err != nil {
		return false, false // it may not listen yet
	}
	phase := fanout.Snapshot{Phase: fanout.Phase(s.Phase)}
	return s.Started, phase.Stopping()
}
