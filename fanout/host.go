package fanout

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/notify"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/internal/worldstop"
	"github.com/brood-init/brood/pidfiles"
	"github.com/brood-init/brood/reaper"
)

// Host is the real System: it starts processes by the reaper, keeps PID files,
// walks /proc and owns the terminal. What may take time, because a disk or a
// directory hangs, happens on goroutines of its own, one for each kind of work,
// so that the one that hangs delays none of the others.
type Host struct {
	reaper *reaper.Reaper
	dir    *pidfiles.Dir // nil: no PID files
	master *pidfiles.Master
	proc   proc.FS
	self   int
	cwd    string
	null   *os.File
	tty    *terminal // nil: stdin is not brood's terminal

	world  *worldstop.Schedule
	dress  Dress
	notify *notify.Server // nil: nobody is heard

	inputs chan Input
	news   *outbox
	closed chan struct{}
	once   sync.Once

	preparation preparation // the starting thread's

	starts *mailbox[Launch]
	files  *mailbox[func()] // PID files: one after another
	walks  *mailbox[func()] // /proc

	registered registrar
	sweeper    sweeper
	oom        oomWatch

	tasks tasks

	censusMu sync.Mutex
	census   *Census
	censusAt time.Time

	mu        sync.Mutex
	processes map[Ref]*reaper.Process
	starting  *underway
	highest   int  // number of a slot that has had a worker
	discard   bool // workers' starts that have not begun are dropped
}

// HostOptions says what a Host works with.
type HostOptions struct {
	// Dir is where workers are listed, Master the lock on it; nil for none.
	Dir    *pidfiles.Dir
	Master *pidfiles.Master
	// WorkingDirectory is where processes start; "" is brood's own.
	WorkingDirectory string
	// Proc is where /proc is, proc.None where there is none to be believed.
	Proc proc.FS
	// World is when the Go runtime may stop all goroutines: not during a start. nil
	// is for programs in which no start hangs.
	World *worldstop.Schedule
	// Dress is what workers get beside their command; the zero Dress is nothing.
	Dress Dress
	// Reported are the keys of pidfiles.Problem that were reported before.
	Reported []string
	// Terminal hands the terminal on stdin to the worker that gets stdin.
	Terminal bool
}

// NewHost returns a Host. Its goroutines end with Close.
func NewHost(o HostOptions) (*Host, error) {
	null, err := emptyInput()
	if err != nil {
		return nil, err
	}
	h := &Host{
		dir:       o.Dir,
		master:    o.Master,
		proc:      o.Proc,
		self:      os.Getpid(),
		cwd:       o.WorkingDirectory,
		null:      null,
		world:     o.World,
		dress:     o.Dress,
		inputs:    make(chan Input, 256),
		closed:    make(chan struct{}),
		starts:    newMailbox[Launch](),
		files:     newMailbox[func()](),
		walks:     newMailbox[func()](),
		processes: make(map[Ref]*reaper.Process),
	}
	h.news = newOutbox(h.inputs, h.closed)
	h.reaper = reaper.New(reaper.Options{Proc: o.Proc, Orphans: h.reaped})
	h.registered = newRegistrar(h)
	for _, key := range o.Reported {
		h.registered.reported[key] = true
	}
	h.sweeper = newSweeper()
	if o.Terminal {
		h.tty = newTerminal(int(os.Stdin.Fd()), h.closed)
	}
	if o.Dress.Notify {
		h.notify = h.newNotify()
	}
	h.walks.put(func() {
		if h.oom.prime("/") {
			h.send(OOMGroupSeen{})
		}
	})
	reaper.StartingThread(h.startAll)
	go h.doAll(h.files)
	go h.doAll(h.walks)
	return h, nil
}

// Inputs is the channel that the engine reads.
func (h *Host) Inputs() <-chan Input { return h.inputs }

// Send passes an input from outside, such as a signal, to the engine. It waits
// for room and gives up when the Host is closed.
func (h *Host) Send(in Input) { h.send(in) }

// Ask returns nil once the engine has answered, or an error when ctx is over
// before that.
func (h *Host) Ask(ctx context.Context) error {
	answer := make(chan struct{})
	select {
	case h.inputs <- Asked{answer}:
	case <-h.closed:
		return errNotAnswered
	case <-ctx.Done():
		return errNotAnswered
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return errNotAnswered
	}
}

// Look has the registered processes looked at, so that the next snapshot shows
// them as they are. It returns when that is so, or ctx is over.
func (h *Host) Look(ctx context.Context) {
	answer := make(chan struct{})
	select {
	case h.inputs <- LookAsked{answer}:
	case <-h.closed:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-answer:
	case <-h.closed:
	case <-ctx.Done():
	}
}

var errNotAnswered = errors.New("the engine does not answer")

func (h *Host) send(in Input) { h.news.send(in) }

// Reap reaps until stop is closed; see reaper.Reaper.Run.
func (h *Host) Reap(sigchld <-chan os.Signal, stop <-chan struct{}) { h.reaper.Run(sigchld, stop) }

// Close lets the goroutines end as soon as what they do ends. It does not wait
// for them: one may hang on a disk.
func (h *Host) Close() {
	h.once.Do(func() {
		close(h.closed)
		if h.notify != nil {
			_ = h.notify.Close() // what it has left is replaced
		}
	})
}

func (h *Host) doAll(work *mailbox[func()]) {
	for {
		do, ok := work.take(h.closed)
		if !ok {
			return
		}
		h.guard(do)
	}
}

// guard makes a panic an event: PID 1 must not die of one PID file.
func (h *Host) guard(do func()) {
	defer func() {
		if v := recover(); v != nil {
			h.send(HostPanicked{v, debug.Stack()})
		}
	}()
	do()
}

func (h *Host) process(ref Ref) *reaper.Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.processes[ref]
}

// Signal implements System.
func (h *Host) Signal(refs []Ref, sig syscall.Signal, group bool) int {
	h.mu.Lock()
	all := make([]*reaper.Process, 0, len(refs))
	for _, ref := range refs {
		if p := h.processes[ref]; p != nil {
			all = append(all, p)
		}
	}
	h.mu.Unlock()
	n := h.reaper.SignalAll(all, sig, group) + h.signalTasks(refs, sig)
	if group && sig == syscall.SIGTERM {
		h.sweeper.tellGroups(all)
	}
	return n
}

// GroupAlive implements System.
func (h *Host) GroupAlive(ref Ref) bool {
	p := h.process(ref)
	return p != nil && p.GroupAlive()
}

// Forget implements System.
func (h *Host) Forget(ref Ref) {
	h.mu.Lock()
	delete(h.processes, ref)
	h.mu.Unlock()
}

// Descendants implements System.
func (h *Host) Descendants() bool { return h.reaper.HasChildren() }

// RemovePIDFile implements System.
func (h *Host) RemovePIDFile(slot, pid int) {
	if h.dir == nil {
		return
	}
	h.files.put(func() {
		if err := h.dir.Remove(slot, pid); err != nil {
			h.send(RegisteredProblem{err})
		}
	})
}

// Cleanup implements System. The workers' files were removed at their exits,
// before this in the same queue.
func (h *Host) Cleanup() {
	h.files.put(func() {
		if h.master != nil {
			_ = h.master.Release() // a file that stays is stale, and taken for that
		}
		h.send(CleanedUp{})
	})
}

// emptyInput opens what processes read that get no stdin: /dev/null or, where
// there is none, a pipe whose other end is closed.
func emptyInput() (*os.File, error) {
	if null, err := os.Open(os.DevNull); err == nil {
		return null, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return r, w.Close()
}
