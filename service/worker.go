package service

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/brood-init/brood/fanout"
)

// Worker says which of the workers this process is.
type Worker struct {
	Slot        int      // its place, from 1 up: stable over restarts
	Index       int      // Slot-1, for arithmetic
	Count       int      // how many workers were wanted when this one started
	Incarnation int      // this process in the history of the slot, from 1 up
	Leader      bool     // at most one process of the service is, at any time
	Args        []string // the words after --, which are os.Args[1:] too
}

func thisWorker() Worker {
	return Worker{
		Slot: number(fanout.EnvSlot), Index: number(fanout.EnvIndex), Count: number(fanout.EnvCount),
		Incarnation: number(fanout.EnvIncarnation), Leader: os.Getenv(fanout.EnvLeader) == "1", Args: os.Args[1:],
	}
}

// number is a variable that brood has set.
func number(variable string) int {
	n, _ := strconv.Atoi(os.Getenv(variable))
	return n
}

// marker is the variable that makes a process a worker. It names the parent, so
// that it means nothing to a process that has inherited it, and it is gone
// before MainLoop could start one. BROOD_SLOT will not do: a worker of brood may
// be a service of its own.
const marker = "_BROOD_WORKER"

func marked(stop syscall.Signal) (key, value string) {
	return marker, fmt.Sprintf("%d:%d", os.Getpid(), stop)
}

func takeMarker(parent int) (stop syscall.Signal, isWorker bool) {
	value, found := os.LookupEnv(marker)
	if !found {
		return 0, false
	}
	_ = os.Unsetenv(marker)
	pid, sig, _ := strings.Cut(value, ":")
	n, err := strconv.Atoi(sig)
	if err != nil || pid != strconv.Itoa(parent) {
		return 0, false
	}
	return syscall.Signal(n), true
}

// work is the life of a worker. A panic is left to the runtime, which knows best
// how to show it, and ends the process with 2.
func (s Service) work(stop syscall.Signal) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	queue := s.queue()
	if s.Signals != nil {
		signal.Reset(syscall.SIGHUP) // which package early has taken, and is no stop for a worker
	}
	signal.Notify(queue, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	if stop != 0 {
		signal.Notify(queue, stop)
	}
	defer signal.Stop(queue)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case sig := <-queue:
				if stops(sig, stop) {
					cancel(errStopped{sig})
				}
			case <-ended:
				return
			}
		}
	}()
	w := thisWorker()
	err := s.MainLoop(ctx, w)
	c := code(ctx, err)
	if c != 0 {
		fmt.Fprintf(os.Stderr, "%s: worker %d: %v\n", nameOf(os.Args[0]), w.Slot, err)
	}
	return c
}
