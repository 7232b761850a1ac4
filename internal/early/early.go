// Package early takes the stop signals before the other packages initialise.
//
// Until a Go program is notified of SIGTERM, the signal ends it: as PID 1 with
// code 2. The imports of brood take a millisecond or two to initialise, and a
// container can be stopped in that time. Packages are initialised in the order
// of their import paths once what they import is ready (Go 1.21 and later), and
// this one imports little, so its turn comes before regexp, log/slog, net/http
// and their like.
//
// It is the one place where a package acts on being imported. Only main imports
// it: a test binary must still die by Ctrl-C.
package early

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// depth is what fits before the engine begins to read; os/signal drops what
// does not.
const depth = 256

var signals, taken = take()

// Signals is the channel that the early signals arrive on. Register further ones
// for the same channel.
func Signals() chan os.Signal {
	<-taken
	return signals
}

// take leaves a signal alone that was ignored when the program was started, as
// by nohup. To take one, two threads have to wait for each other twice, and one of
// them would be the only one that may initialise packages: so another goroutine
// does it at the same time, if there is a CPU for it.
func take() (chan os.Signal, <-chan struct{}) {
	checkDescriptors()
	c, taken := make(chan os.Signal, depth), make(chan struct{})
	all := func() {
		defer close(taken)
		for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
			if !signal.Ignored(sig) {
				signal.Notify(c, sig)
			}
		}
	}
	if runtime.GOMAXPROCS(0) > 1 {
		go all()
	} else {
		all()
	}
	return c, taken
}
