package fanout

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/lookpath"
	"github.com/brood-init/brood/internal/staging"
	"github.com/brood-init/brood/pidfiles"
	"github.com/brood-init/brood/reaper"
)

// Start implements System: the fork, the registration and the PID file are one
// operation, and Started comes after all three.
func (h *Host) Start(l Launch) {
	if l.Task != nil {
		h.runTask(l)
		return
	}
	h.starts.put(l)
}

// DiscardStarts implements System.
func (h *Host) DiscardStarts() {
	h.mu.Lock()
	h.discard = true
	h.mu.Unlock()
}

// discards reports whether no more workers are started.
func (h *Host) discards() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.discard
}

// KillAll implements System.
func (h *Host) KillAll() {
	h.DiscardStarts()
	h.signalTasks(h.tasks.refs(), syscall.SIGKILL)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.processes {
		_ = p.SignalGroup(syscall.SIGKILL) // it has ended already
	}
}

// startAll is the loop of the starting thread. What it has to say waits until
// there is nothing more to start: the engine would want a CPU of those that the
// workers begin on. No garbage is collected meanwhile.
func (h *Host) startAll() {
	for {
		l, ok := h.starts.poll()
		if !ok {
			h.world.Resume()
			h.news.flush()
			if l, ok = h.starts.take(h.closed); !ok {
				return
			}
		}
		h.world.PutOff()
		if failed := h.startGuarded(l); failed != nil {
			h.send(*failed)
		}
	}
}

// startGuarded makes a panic a failed start: PID 1 must not die of one worker.
func (h *Host) startGuarded(l Launch) (failed *StartFailed) {
	defer func() {
		if v := recover(); v != nil {
			failed = &StartFailed{Ref: l.Ref, Err: fmt.Errorf("cannot start %q: internal error: %v", l.Args[0], v)}
		}
	}()
	return h.start(l)
}

var errDiscarded = errors.New("cannot start a worker: brood is stopping")

func (h *Host) start(l Launch) *StartFailed {
	if l.Kind == KindWorker {
		if h.discards() {
			return &StartFailed{Ref: l.Ref, Err: errDiscarded}
		}
		if pid := h.takenBy(l.Slot); pid != 0 && !l.Beside {
			return &StartFailed{Ref: l.Ref, TakenBy: pid}
		}
	}
	path, err := lookpath.Find(l.Args[0], getenv(l.Env, "PATH"), h.cwd)
	if err != nil {
		return &StartFailed{Ref: l.Ref, Err: err, Code: StartCode(err)}
	}
	err = h.dressed(l, path, l.Args)
	if errors.Is(err, syscall.ENOEXEC) {
		// A script without #! runs under the shell, as execvp(3) has it.
		args := append([]string{"/bin/sh", path}, l.Args[1:]...)
		err = h.dressed(l, "/bin/sh", args)
	}
	if err != nil {
		err = h.explain(path, err)
		return &StartFailed{Ref: l.Ref, Err: err, Code: StartCode(err)}
	}
	return nil
}

func (h *Host) spec(l Launch, path string, args []string) reaper.Spec {
	s := reaper.Spec{
		Path: path, Args: args, Env: l.Env, Dir: h.cwd,
		Stdin: int(h.null.Fd()), Stdout: 1, Stderr: 2, Family: family(l.Ref),
		Started: func(p *reaper.Process, at time.Time) { h.hasStarted(l.Ref, l.Beside, p, at) },
		Exited:  func(x reaper.Exit) { h.exited(l.Ref, x) },
	}
	if l.Stdin {
		s.Stdin = 0
		if h.tty != nil {
			s.Foreground = h.tty.ours()
			s.Stopped = func(by syscall.Signal) { h.send(Stopped{l.Ref, by}) }
		}
	}
	return s
}

func (h *Host) hasStarted(ref Ref, beside bool, p *reaper.Process, at time.Time) {
	h.mu.Lock()
	h.processes[ref] = p
	if ref.Kind == KindWorker {
		h.highest = max(h.highest, ref.Slot)
	}
	h.mu.Unlock()
	if ref.Kind == KindWorker && !beside {
		h.writePIDFile(ref.Slot, p.PID())
	}
	h.news.hold(Started{ref, p.PID(), at})
}

func (h *Host) writePIDFile(slot, pid int) {
	if h.dir == nil {
		return
	}
	if err := h.dir.Write(slot, pid); err != nil {
		// A worker without a file works; who looks for the file must know.
		h.send(RegisteredProblem{err})
	}
}

// WritePIDFile implements System.
func (h *Host) WritePIDFile(ref Ref) {
	h.files.put(func() {
		if p := h.process(ref); p != nil && h.reaper.Owns(p.PID()) {
			h.writePIDFile(ref.Slot, p.PID())
		}
	})
}

// takenBy returns the living process that has registered under a slot's number
// and is not ours, or 0.
func (h *Host) takenBy(slot int) int {
	if h.dir == nil {
		return 0
	}
	var claim *pidfiles.ClaimError
	if err := h.dir.Check(slot); errors.As(err, &claim) && !h.reaper.Owns(claim.PID) {
		return claim.PID
	}
	return 0
}

// StartCode is the exit code of a command that could not be started: 127 for
// what is not there, 126 for what cannot be executed, 0 for trouble that may
// pass.
func StartCode(err error) int {
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM),
		errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, staging.ErrNoStage):
		return 0
	case errors.Is(err, lookpath.ErrNotFound):
		return CodeNotFound
	}
	return CodeNotExecutable
}

// explain says what the errno of a start leaves open: ENOENT may be about the
// directory to start in, or about what a script or a dynamic program asks for.
func (h *Host) explain(path string, err error) error {
	if !errors.Is(err, syscall.ENOENT) {
		return err
	}
	if _, missing := os.Stat(h.directory()); missing != nil {
		return fmt.Errorf("cannot start %q in its directory: %w", path, missing)
	}
	return fmt.Errorf("cannot start %q: the interpreter or loader that it names is missing", path)
}

func (h *Host) directory() string {
	if h.cwd == "" {
		return "."
	}
	return h.cwd
}

func getenv(env []string, key string) string {
	// The last one counts: that is what a later setting overrides.
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, key+"="); ok {
			return v
		}
	}
	return ""
}
