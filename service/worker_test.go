package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestAMarkerIsTakenOnceAndOnlyFromItsParent(t *testing.T) {
	for _, test := range []struct {
		value    string
		stop     syscall.Signal
		isWorker bool
	}{
		{"77:0", 0, true},
		{"77:12", syscall.SIGUSR2, true},
		{"78:0", 0, false}, // inherited by a grandchild
		{"", 0, false},
		{"77", 0, false},
		{"77:x", 0, false},
		{" 77:0", 0, false},
	} {
		t.Setenv(marker, test.value)
		stop, isWorker := takeMarker(77)
		if stop != test.stop || isWorker != test.isWorker {
			t.Errorf("%q: got %v, %t", test.value, stop, isWorker)
		}
		if _, left := os.LookupEnv(marker); left {
			t.Errorf("%q is still there", test.value)
		}
	}
	if _, isWorker := takeMarker(77); isWorker {
		t.Error("a worker without a marker")
	}
}

func TestWhatMainLoopReturnsIsTheCode(t *testing.T) {
	live := t.Context()
	over, cancel := context.WithCancelCause(live)
	cancel(errStopped{syscall.SIGTERM})
	wrong := errors.New("wrong")
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		code int
	}{
		"nothing":                        {live, nil, 0},
		"an error":                       {live, wrong, 1},
		"a cancellation of its own":      {live, context.Canceled, 1},
		"the end of its context":         {over, over.Err(), 0},
		"a wrapped end":                  {over, fmt.Errorf("reading: %w", context.Canceled), 0},
		"the cause":                      {over, context.Cause(over), 0},
		"an error during the stop":       {over, wrong, 1},
		"a deadline missed while ending": {over, context.DeadlineExceeded, 1},
	} {
		if got := code(test.ctx, test.err); got != test.code {
			t.Errorf("%s: code %d, want %d", name, got, test.code)
		}
	}
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	main := func(context.Context, Worker) error { return nil }
	if got := Run(Service{MainLoop: main}); got != 125 {
		t.Errorf("under go test: code %d", got)
	}
	if got := Run(Service{Program: "/bin/true"}); got != 125 {
		t.Errorf("without MainLoop: code %d", got)
	}
}

func TestTheHelpersWorkWithoutABrood(t *testing.T) {
	t.Setenv("BROOD_PIDFILE", "")
	if n := ProcessCount(); n != 1 {
		t.Errorf("%d workers", n)
	}
	if path := PIDPath(1); path != "" {
		t.Errorf("a PID file %q", path)
	}
	self := &os.Process{Pid: os.Getpid()}
	if err := Register(0, self); !errors.Is(err, errNoPIDFiles) {
		t.Errorf("Register: %v", err)
	}
	if err := Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if all, err := Listeners(); len(all) > 0 || err != nil {
		t.Errorf("sockets: %v, %v", all, err)
	}
	if l, err := ListenerNamed("web"); err == nil {
		t.Errorf("a socket %v", l)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watchdog(ctx, nil); err != nil {
		t.Errorf("Watchdog: %v", err)
	}
}
