package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// running is a program in the background, brood mostly.
type running struct {
	cmd     *exec.Cmd
	said    *os.File // its stderr
	ended   chan struct{}
	shared  string
	stop    syscall.Signal
	first   bool   // of a namespace, whose processes end with it
	address string // of brood's metrics
}

// begin starts brood with idle workers and returns once n of them run.
func (l *lab) begin(n int, flags ...string) (*running, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r, err := l.keep(l.broodPeer(append(flags, "--metrics-addr", address)...), n)
	if err != nil {
		return nil, err
	}
	r.address = address
	return r, nil
}

// keep starts a peer with idle workers and returns once n of them run.
func (l *lab) keep(p peer, n int) (*running, error) {
	shared, err := l.sharedFile()
	if err != nil {
		return nil, err
	}
	how, err := l.prepare(p, n, l.c("worker"), shared)
	if err != nil {
		return nil, err
	}
	r, err := l.beginProgram(shared, how.argv...)
	if err != nil {
		return nil, err
	}
	r.stop = p.stop
	return r, r.await(n)
}

// beginFirst starts a peer as the first process of a PID namespace, as an init is
// in a container.
func (l *lab) beginFirst(p peer, shared string, command ...string) (*running, error) {
	how, err := l.prepare(p, 1, command...)
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	r, err := l.beginWith(attr, shared, append([]string{l.c("first")}, how.argv...))
	if err != nil {
		return nil, err
	}
	r.stop, r.first = p.stop, true
	return r, nil
}

// beginProgram starts a program that shares a file with what it starts.
func (l *lab) beginProgram(shared string, argv ...string) (*running, error) {
	return l.beginWith(nil, shared, argv)
}

func (l *lab) beginWith(attr *syscall.SysProcAttr, shared string, argv []string) (*running, error) {
	said, err := os.Create(shared + ".said")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(l.ctx, argv[0], argv[1:]...)
	cmd.Env = l.environ()
	cmd.Stderr = said
	cmd.SysProcAttr = attr
	cmd.Cancel = func() error { return killAll(cmd.Process.Pid) }
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, said.Close())
	}
	r := &running{cmd: cmd, said: said, ended: make(chan struct{}), shared: shared, stop: syscall.SIGTERM}
	go func() {
		_ = cmd.Wait() // how it ended is in what it says
		close(r.ended)
	}()
	return r, nil
}

// await returns once n workers run; if they do not, the program is ended.
func (r *running) await(n int) error {
	err := until(30*time.Second, func() (bool, error) {
		if r.hasEnded() {
			return false, fmt.Errorf("%s has ended", filepath.Base(r.cmd.Path))
		}
		up, err := sharedUint32(r.shared, offsetRunning)
		return int(up) >= n, err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("cannot get %d workers to run: %w: %s", n, err, r.saying()), r.end())
	}
	return nil
}

func (r *running) pid() int { return r.cmd.Process.Pid }

func (r *running) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// end stops the program and all that it has started. Workers may leave at once.
func (r *running) end() error {
	defer r.said.Close()
	if err := setShared(r.shared, offsetLeave, 1); err != nil {
		return err
	}
	all := append(descendants(r.pid()), r.pid())
	sig := r.stop
	if r.first {
		sig = syscall.SIGKILL
	}
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := until(20*time.Second, func() (bool, error) {
		return r.hasEnded() && !slices.ContainsFunc(all, alive), nil
	})
	if err != nil {
		return errors.Join(errors.New("it has not ended after 20 s"), r.cmd.Process.Kill())
	}
	return nil
}

func (r *running) saying() string {
	text, err := os.ReadFile(r.said.Name())
	if err != nil {
		return err.Error()
	}
	return tail(string(text), 300)
}

var errNotSo = errors.New("not so")

// until asks again and again; an error ends it early.
func until(atMost time.Duration, ask func() (bool, error)) error {
	for end := time.Now().Add(atMost); ; time.Sleep(2 * time.Millisecond) {
		if done, err := ask(); done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w after %s", errNotSo, atMost)
		}
	}
}
