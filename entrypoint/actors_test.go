package entrypoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/fanout"
)

// Whatever hangs, brood leaves, and takes the socket with it on which nobody
// answers any more.
func TestAPartThatDoesNotEndLeavesNoSocket(t *testing.T) {
	host, err := fanout.NewHost(fanout.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := mustLoad(t, nil, "-n0", "--", "sleep", "300")
	p, err := cfg.Plan(0)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogSink(devNull(t), false, cfg.logLevel())
	defer log.close()
	w := newTestWindow(t, cfg, log)
	engine := fanout.New(p, host, host.Inputs())
	path := filepath.Join(t.TempDir(), "brood.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	w.listening.Store(l)

	hang := make(chan struct{})
	defer close(hang)
	all := actors{log: log, abandon: w.abandonControl}
	all.group.Add(func() error { engine.Run(); host.Close(); return nil }, func(error) {})
	all.group.Add(func() error { <-hang; return nil }, func(error) {})
	host.Send(fanout.SignalArrived{Signal: syscall.SIGTERM})
	all.run(engine)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func devNull(t *testing.T) int {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return int(f.Fd())
}
