package entrypoint

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/brood-init/brood/internal/signame"
	"github.com/brood-init/brood/internal/sigsink"
)

// signals owns every catchable signal for the whole life of the process. A
// signal that nobody is notified of would crash a Go program that is PID 1
// (QUIT, ABRT, SYS) or, like a second SIGTERM after a signal handler that
// listens once, end it without the finish hook.
type signals struct {
	// child has room for one: the reaper loops until nothing is left, so one
	// pending SIGCHLD says as much as many.
	child chan os.Signal
	// rest has a queue deep enough for a burst of different signals.
	rest chan os.Signal
	// pipe takes SIGPIPE so that a vanished log reader makes the write fail
	// instead of killing brood. Ignoring it would leak into every worker.
	pipe chan os.Signal
}

// takeSignals registers for rest what may come at any moment, before anything
// else is done. takeOthers completes it.
func takeSignals(rest chan os.Signal) *signals {
	s := &signals{
		child: make(chan os.Signal, 1),
		rest:  rest,
		pipe:  make(chan os.Signal, 1),
	}
	// An error is one of the kernel, which had no other use for them before either.
	_ = sigsink.Drop(32, 34)
	signal.Notify(s.child, syscall.SIGCHLD)
	signal.Notify(s.pipe, syscall.SIGPIPE)
	for _, sig := range []syscall.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
		syscall.SIGTTIN, syscall.SIGTTOU, // which would stop a brood that is not PID 1
	} {
		s.take(sig)
	}
	return s
}

// takeOthers registers all other signals. Each costs some 30 µs, so it waits
// until the first worker has been started; a brood that is about to leave does
// without.
func (s *signals) takeOthers(stop <-chan struct{}) {
	for n := syscall.Signal(1); n <= 64; n++ {
		select {
		case <-stop:
			return
		default:
		}
		switch signame.ClassOf(n) {
		case signame.Uncatchable, signame.Runtime:
		default:
			if n != syscall.SIGCHLD && n != syscall.SIGPIPE {
				s.take(n)
			}
		}
	}
}

// take leaves a signal alone that was ignored when brood was started, as by
// nohup: then it stays ignored, here and in every worker.
func (s *signals) take(sig syscall.Signal) {
	if !signal.Ignored(sig) {
		signal.Notify(s.rest, sig)
	}
}
