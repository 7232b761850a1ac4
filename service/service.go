package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/entrypoint"
	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/self"
	_ "github.com/brood-init/brood/internal/stage" // what a worker may be before main
)

// Service is what a program does. Only MainLoop must be there.
type Service struct {
	// Prepare runs once in the parent, before any worker. When it returns an
	// error or panics nothing is started, Finish runs, and the exit code is 1,
	// or 2 for a panic. ctx ends when the service is asked to stop meanwhile,
	// and with --prepare-timeout.
	//
	// What it sets in memory is there for Finish, but not for workers: they are
	// processes of their own that begin at main. See the package comment for
	// what reaches them.
	Prepare func(ctx context.Context) error

	// MainLoop is a worker. ctx ends when the worker is asked to stop;
	// context.Cause tells by which signal. It then has the grace of the stop
	// budget to return, and is killed after that.
	//
	// nil ends the worker with code 0: its work is done, and under --restart
	// on-failure it is not started again. After the end of ctx, ctx.Err() counts
	// as nil. Any other error goes to stderr, with code 1. A panic, also of
	// another goroutine, ends the worker as it ends any Go program, with the
	// stacks on stderr and code 2. os.Exit works as well.
	MainLoop func(ctx context.Context, w Worker) error

	// Finish runs once in the parent, after all workers have ended, on every way
	// out on which Prepare was called or a worker was started. It may use what is
	// left of the stop budget, --finish-timeout at least; ctx ends with that.
	// An error makes the exit code 1, a panic 2, running out of time 124, unless
	// a worker has failed, whose code counts then.
	Finish func(ctx context.Context) error

	// Defaults are flags, as on the command line: "-n4", "--ready=notify". The
	// env file, the environment and the command line outrank them.
	Defaults []string

	// Program is the file that workers execute, for a test: it must call Run
	// with the same Service. Empty is the program itself, see the package
	// comment.
	Program string

	// Signals are those that have arrived before Run: see package early. nil is
	// right for most programs.
	Signals chan os.Signal
}

// Run is the service: as the parent it returns when everything has ended, as a
// worker when MainLoop has. The result is the exit code, which main should end
// with at once:
//
//	func main() { os.Exit(service.Run(service.Service{MainLoop: serve})) }
//
// It reads os.Args and the environment as the command brood does, and leaves
// package flag alone. Call it once, from main, with nothing else running: the
// parent adopts and reaps all processes, and owns all signals.
//
// Under go test Run refuses to be a parent, whose workers would run all tests
// again and again, unless Program is set.
func Run(s Service) int {
	stop, isWorker := takeMarker(os.Getppid())
	if s.MainLoop == nil {
		return refuse("its Service has no MainLoop")
	}
	if isWorker {
		return s.work(stop)
	}
	if s.Program == "" && testing.Testing() {
		return refuse("under go test it would start the tests as its workers: set Service.Program")
	}
	own, err := self.Path()
	if err != nil {
		return refuse(err.Error())
	}
	path := s.Program
	if path == "" {
		path = own
	} else if path, err = filepath.Abs(path); err != nil {
		return refuse(err.Error())
	}
	p := entrypoint.Program{Name: nameOf(own), Service: &entrypoint.Service{
		Path: path, Defaults: s.Defaults, Worker: marked, Prepare: s.Prepare, Finish: s.Finish,
	}}
	return p.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr, s.queue())
}

// depth is what fits into a queue of signals before somebody reads it.
const depth = 256

func (s Service) queue() chan os.Signal {
	if s.Signals != nil {
		return s.Signals
	}
	return make(chan os.Signal, depth)
}

func refuse(why string) int {
	fmt.Fprintf(os.Stderr, "%s: cannot run as a service: %s\n", nameOf(os.Args[0]), why)
	return fanout.CodeInternal
}

// nameOf is what the program is called in its messages. A descriptor's number
// would be no name.
func nameOf(path string) string {
	if strings.HasPrefix(path, "/proc/") {
		path = os.Args[0]
	}
	return filepath.Base(path)
}

// errStopped is the cause of a worker's context.
type errStopped struct{ signal os.Signal }

func (e errStopped) Error() string { return "asked to stop by " + e.signal.String() }

// Is makes it a context.Canceled for those who return the cause.
func (e errStopped) Is(target error) bool { return target == context.Canceled }

// code is a worker's exit code for what its MainLoop has returned.
func code(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 0
	}
	return 1
}

// stops reports whether a worker takes sig for a request to stop. chosen is the
// one that --stop-signal has, or 0.
func stops(sig os.Signal, chosen syscall.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		return true
	}
	return sig == chosen
}
