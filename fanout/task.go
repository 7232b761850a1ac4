package fanout

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/brood-init/brood/reaper"
)

// Task is a hook that is a function: brood runs it in its own process, for a
// service that is written in Go and is its own brood. ctx ends when the hook is
// asked to end, and with the time it has. environ is what a hook's process
// would get.
//
// While a task runs, ended processes that brood has not started itself are left
// for whoever has: a task may use os/exec. Nothing can end a task that does not
// heed its ctx; brood goes on without it.
type Task func(ctx context.Context, environ []string) TaskResult

// TaskResult is how a task has ended.
type TaskResult struct {
	Code int   // as a process would have ended
	Err  error // why it has failed; nil for code 0
	// Environment replaces the plan's for whatever is started later; nil leaves
	// it as it is.
	Environment []string
}

// TaskEnded says that a task has ended, or was given up.
type TaskEnded struct {
	Ref
	reaper.Status
	TaskResult
}

func (TaskEnded) input() {}

// taskEnded is exited for a task.
func (e *Engine) taskEnded(in TaskEnded) {
	if in.Environment != nil {
		e.plan.Environment = in.Environment
		e.workerBase = without(in.Environment, e.plan.WorkerEnvironment)
	}
	ended := HookFinished{Code: in.ExitCode(), Fault: in.Err}
	if in.Kind == KindPrepare {
		e.prepareEnded(ended)
		return
	}
	e.finishEnded(ended)
}

var errTaskLeft = errors.New("the function has ended its goroutine")

// tasks are the functions that run in brood's process.
type tasks struct {
	mu      sync.Mutex
	running map[Ref]*task
}

func (t *tasks) refs() []Ref {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.running))
}

type task struct {
	cancel  context.CancelFunc
	release func() // lets the reaper have everything again
	over    bool   // it has ended, or was given up
}

// runTask starts a task and answers with Started, and later with TaskEnded.
func (h *Host) runTask(l Launch) {
	ctx, cancel := context.WithCancel(context.Background())
	if !l.Until.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, l.Until)
	}
	t := &task{cancel: cancel, release: h.reaper.LeaveUnknown()}
	h.tasks.mu.Lock()
	if h.tasks.running == nil {
		h.tasks.running = make(map[Ref]*task)
	}
	h.tasks.running[l.Ref] = t
	h.tasks.mu.Unlock()
	go func() {
		h.send(Started{l.Ref, os.Getpid(), time.Now()})
		result := TaskResult{Code: CodeInternal, Err: errTaskLeft}
		defer func() { h.endTask(l.Ref, t, reaper.Status{Code: result.Code}, result) }()
		result = l.Task(ctx, l.Env)
	}()
}

// endTask reports the end of a task, once.
func (h *Host) endTask(ref Ref, t *task, s reaper.Status, result TaskResult) {
	h.tasks.mu.Lock()
	first := !t.over
	t.over = true
	if first {
		delete(h.tasks.running, ref)
	}
	h.tasks.mu.Unlock()
	if first {
		t.cancel()
		t.release()
		h.send(TaskEnded{ref, s, result})
	}
}

// signalTasks is Signal for tasks: SIGKILL gives a task up, everything else
// ends its context.
func (h *Host) signalTasks(refs []Ref, sig syscall.Signal) (n int) {
	for _, ref := range refs {
		h.tasks.mu.Lock()
		t := h.tasks.running[ref]
		h.tasks.mu.Unlock()
		switch {
		case t == nil:
			continue
		case sig == syscall.SIGKILL:
			// The engine is who asks, and reads what this sends.
			go h.endTask(ref, t, reaper.Status{Signal: sig}, TaskResult{})
		default:
			t.cancel()
		}
		n++
	}
	return n
}
