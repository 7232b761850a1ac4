package fanout

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// taskHost is a Host that reaps, and answers that are not of a task aside.
func taskHost(t *testing.T) *Host {
	t.Helper()
	host, err := NewHost(HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); host.Reap(child, stop) }()
	t.Cleanup(func() { close(stop); <-ended; host.Close(); signal.Stop(child) })
	return host
}

// run starts a task as the finish hook and returns how it has ended.
func (h *Host) ranTask(t *testing.T, task Task, meanwhile func()) TaskEnded {
	t.Helper()
	h.Start(Launch{Ref: finishRef, Task: task, Env: []string{"A=1"}})
	late := time.After(20 * time.Second)
	for {
		select {
		case in := <-h.Inputs():
			switch in := in.(type) {
			case Started:
				meanwhile()
			case TaskEnded:
				return in
			}
		case <-late:
			t.Fatal("the task has not ended")
		}
	}
}

func TestATaskEndsAsItsFunctionDoes(t *testing.T) {
	host := taskHost(t)
	wrong := errors.New("wrong")
	stuck := make(chan struct{})
	for name, test := range map[string]struct {
		task Task
		sent syscall.Signal
		code int
		err  error
	}{
		"with 0":        {task: func(context.Context, []string) TaskResult { return TaskResult{} }},
		"with an error": {task: func(context.Context, []string) TaskResult { return TaskResult{Code: 3, Err: wrong} }, code: 3, err: wrong},
		"by its context": {
			task: func(ctx context.Context, _ []string) TaskResult {
				<-ctx.Done()
				return TaskResult{Code: 1, Err: ctx.Err()}
			},
			sent: syscall.SIGTERM, code: 1, err: context.Canceled,
		},
		"given up": {
			task: func(context.Context, []string) TaskResult { <-stuck; return TaskResult{} },
			sent: syscall.SIGKILL, code: 137,
		},
		"by the end of its goroutine": {
			task: func(context.Context, []string) TaskResult { runtime.Goexit(); return TaskResult{} },
			code: CodeInternal, err: errTaskLeft,
		},
	} {
		got := host.ranTask(t, test.task, func() {
			if test.sent != 0 {
				host.Signal([]Ref{finishRef}, test.sent, true)
			}
		})
		if got.ExitCode() != test.code || !errors.Is(got.Err, test.err) {
			t.Errorf("%s: code %d and %v, want %d and %v", name, got.ExitCode(), got.Err, test.code, test.err)
		}
	}
	close(stuck)
}

// The reaper has everything that ends, and would take these away as well.
func TestATaskMayWaitForProcessesOfItsOwn(t *testing.T) {
	host := taskHost(t)
	lost := 0
	host.ranTask(t, func(context.Context, []string) TaskResult {
		for range 100 {
			var exit *exec.ExitError
			if err := exec.Command("sh", "-c", "exit 7").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
				lost++
			}
		}
		return TaskResult{}
	}, func() {})
	if lost > 0 {
		t.Errorf("%d of 100 exit codes were lost", lost)
	}
}
