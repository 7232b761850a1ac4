package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// running is a brood in the background whose workers run.
type running struct {
	cmd    *exec.Cmd
	said   *os.File // its stderr
	ended  chan struct{}
	shared string
}

// begin starts brood with n idle workers and returns once they run.
func (l *lab) begin(n int, flags ...string) (*running, error) {
	shared := l.shared("begin")
	if err := os.WriteFile(shared, make([]byte, 4096), 0o600); err != nil {
		return nil, err
	}
	r, err := l.beginCommand(shared, append(flags, "-n", strconv.Itoa(n), "--", l.c("worker"), shared)...)
	if err != nil {
		return nil, err
	}
	err = until(30*time.Second, func() (bool, error) {
		if r.hasEnded() {
			return false, errors.New("brood has ended")
		}
		up, err := sharedUint32(shared, offsetRunning)
		return int(up) >= n, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot get %d workers to run: %w: %s", n, err, r.saying()), r.end())
	}
	return r, nil
}

// beginCommand starts brood with args.
func (l *lab) beginCommand(shared string, args ...string) (*running, error) {
	pattern, err := l.pattern("begin")
	if err != nil {
		return nil, err
	}
	said, err := os.Create(l.shared("said"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(l.ctx, l.brood, append([]string{"--pidfile", pattern}, args...)...)
	cmd.Env = l.environ()
	cmd.Stderr = said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, said.Close())
	}
	r := &running{cmd: cmd, said: said, ended: make(chan struct{}), shared: shared}
	go func() {
		_ = cmd.Wait() // how it ended is in what it says
		close(r.ended)
	}()
	return r, nil
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

// end stops brood, whose workers may leave at once.
func (r *running) end() error {
	defer r.said.Close()
	if err := setShared(r.shared, offsetLeave, 1); err != nil {
		return err
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-r.ended:
		return nil
	case <-time.After(20 * time.Second):
		return errors.Join(errors.New("brood has not ended after 20 s"), r.cmd.Process.Kill())
	}
}

func (r *running) saying() string {
	text, err := os.ReadFile(r.said.Name())
	if err != nil {
		return err.Error()
	}
	return tail(string(text), 300)
}

// until asks again and again; an error ends it early.
func until(atMost time.Duration, ask func() (bool, error)) error {
	for end := time.Now().Add(atMost); ; time.Sleep(2 * time.Millisecond) {
		if done, err := ask(); done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("not so after %s", atMost)
		}
	}
}

// processField is a field of a process's status.
func processField(pid int, field string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(string(text), field)
}

// statusField sums a field of status over the tasks of a process.
func statusField(pid int, field string) (int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("cannot find the tasks of process %d", pid)
	}
	sum := 0
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			return 0, err
		}
		n, err := parseStatus(string(text), field)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func parseStatus(text, field string) (int, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return 0, fmt.Errorf("cannot find %s", field)
}
