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

// running is a program in the background, brood mostly.
type running struct {
	cmd     *exec.Cmd
	said    *os.File // its stderr
	ended   chan struct{}
	shared  string
	address string // of brood's metrics
}

// begin starts brood with idle workers and returns once n of them run.
func (l *lab) begin(n int, flags ...string) (*running, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(l.shm, "begin-")
	if err != nil {
		return nil, err
	}
	shared := filepath.Join(filepath.Base(dir), "shared")
	args := append(flags, "--metrics-addr", address, "--pidfile", filepath.Join(dir, "brood.pid"),
		"--", l.c("worker"), l.shared(shared))
	r, err := l.beginProgram(shared, l.brood, args...)
	if err != nil {
		return nil, err
	}
	r.address = address
	err = until(30*time.Second, func() (bool, error) {
		if r.hasEnded() {
			return false, errors.New("brood has ended")
		}
		up, err := sharedUint32(r.shared, offsetRunning)
		return int(up) >= n, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot get %d workers to run: %w: %s", n, err, r.saying()), r.end())
	}
	return r, nil
}

// beginProgram starts a program that shares a file of that name with what it
// starts.
func (l *lab) beginProgram(shared, program string, args ...string) (*running, error) {
	path := l.shared(shared)
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		return nil, err
	}
	said, err := os.Create(path + ".said")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(l.ctx, program, args...)
	cmd.Env = l.environ()
	cmd.Stderr = said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, said.Close())
	}
	r := &running{cmd: cmd, said: said, ended: make(chan struct{}), shared: path}
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

// end stops the program, whose workers may leave at once.
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
		return errors.Join(errors.New("it has not ended after 20 s"), r.cmd.Process.Kill())
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

// statusField is a field of a process's status.
func statusField(pid int, field string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(string(text), field)
}

// switches is how often each thread of a process was switched away from, of its
// own will or not.
func switches(pid int) (map[string]int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		return nil, fmt.Errorf("cannot find the threads of process %d", pid)
	}
	all := make(map[string]int, len(tasks))
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			return nil, err
		}
		for _, field := range []string{"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"} {
			n, err := parseStatus(string(text), field)
			if err != nil {
				return nil, err
			}
			all[task] += n
		}
	}
	return all, nil
}

// zombies counts the children that a process has not waited for.
func zombies(pid int) (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		return 0, fmt.Errorf("cannot find the children of process %d", pid)
	}
	n := 0
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return 0, err
		}
		for child := range strings.FieldsSeq(string(text)) {
			status, err := os.ReadFile("/proc/" + child + "/status")
			if err == nil && strings.Contains(string(status), "\nState:\tZ") {
				n++
			}
		}
	}
	return n, nil
}

func parseStatus(text, field string) (int, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return 0, fmt.Errorf("cannot find %s", field)
}
