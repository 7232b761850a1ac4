package entrypoint

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
)

// terminationLog is where the kubelet reads why a container has ended, and
// shows it in "kubectl describe pod".
const terminationLog = "/dev/termination-log"

// Bounds on what is written on the way out: a hanging disk must not keep a
// container from ending. What is left of the stop's budget may be used.
const (
	leastLeaving = 50 * time.Millisecond
	mostLeaving  = time.Second
)

// writeTermination writes the message where the configuration wants it, unless
// the application has written one of its own, which is better. It does not wait
// for the reader of a pipe.
func (c *Config) writeTermination(message []byte) error {
	path, flags := c.TerminationLog.Value, unix.O_WRONLY|unix.O_CREAT
	switch path {
	case nowhere:
		return nil
	case "":
		path, flags = terminationLog, unix.O_WRONLY
	}
	// Bare system calls: an os.File waits for a pipe that is full.
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		if flags&unix.O_CREAT == 0 {
			return nil // not in Kubernetes, or not for this user
		}
		return fmt.Errorf("cannot write --termination-log %q: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }() // what the write says counts
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("cannot write --termination-log %q: %w", path, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size > 0 {
		if !isOurs(path) {
			return nil
		}
		// A brood that was nested in this one, or started beside it: its end is
		// not the container's.
		if err := unix.Ftruncate(fd, 0); err != nil {
			return fmt.Errorf("cannot write --termination-log %q: %w", path, err)
		}
	}
	n, err := unix.Write(fd, message)
	if err == nil && n < len(message) {
		err = unix.ENOSPC
	}
	if err != nil {
		return fmt.Errorf("cannot write --termination-log %q: %w", path, err)
	}
	return nil
}

// isOurs reports whether a file holds a message of a brood.
func isOurs(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var begin [len(ours)]byte
	n, err := unix.Read(fd, begin[:])
	return err == nil && string(begin[:n]) == ours
}

// sayWhyNotStarted leaves the reason of a brood that has not come to start
// anything. Unless the file was asked for only PID 1 does: another one may have
// been started by hand, in a container that lives on.
func (p Program) sayWhyNotStarted(c *Config, environ []string, err error) {
	if c == nil { // the settings are to blame
		c = newConfig(p)
		for _, entry := range environ {
			if path, ok := strings.CutPrefix(entry, envPrefix+"_TERMINATION_LOG="); ok {
				c.TerminationLog.Value, _ = parseOutput(path)
			}
		}
	}
	if c.TerminationLog.Value == "" && os.Getpid() != 1 {
		return
	}
	message := terminationOfError(err, c.rows).message()
	_ = within(mostLeaving, func() { _ = c.writeTermination(message) }) // the error itself is told on stderr
}

// within runs do and waits for it no longer than that. The error is do's panic.
func within(most time.Duration, do func()) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("internal error: %v\n%s", v, debug.Stack())
			}
			close(done)
		}()
		do()
	}()
	timeout := time.NewTimer(most)
	defer timeout.Stop()
	select {
	case err := <-done:
		return err
	case <-timeout.C:
		return nil
	}
}

// leavingTime is what may be used for writing at the very end.
func leavingTime(s *fanout.Snapshot, now time.Time) time.Duration {
	if s.StopBy.IsZero() { // a panic: nobody knows
		return mostLeaving
	}
	return min(max(s.StopBy.Sub(now), leastLeaving), mostLeaving)
}
