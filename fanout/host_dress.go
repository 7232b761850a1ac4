package fanout

import (
	"slices"
	"strings"
	"time"

	"github.com/brood-init/brood/internal/output"
	"github.com/brood-init/brood/internal/preread"
	"github.com/brood-init/brood/internal/sockets"
	"github.com/brood-init/brood/internal/staging"
	"github.com/brood-init/brood/reaper"
)

// Dress is what a worker gets beside its command. What only the worker's own
// process can do goes through the stage: see package stage.
type Dress struct {
	// Sockets are shared by all workers; nil for none.
	Sockets *sockets.Set
	// Notify gives each slot a socket on which its worker says by sd_notify(3)
	// how it is. NotifyDir is where its sockets are made, as NotifyName.<slot>.sock, "" for the abstract namespace.
	Notify                bool
	NotifyDir, NotifyName string
	// Output takes what workers write; nil leaves them brood's own descriptors.
	Output *output.Mux
	// Stage is needed for Sockets and for everything below.
	Stage      *staging.Stage
	User       *staging.User
	NoNewPrivs bool
	Limits     []staging.Limit
	CPUs       staging.Affinity
}

// dressed starts a worker with everything that it gets, and lets go of what was
// only needed for the start.
func (h *Host) dressed(l Launch, path string, args []string) (err error) {
	spec, slow := h.spec(l, path, args), h.isSlow(path)
	if l.Kind != KindWorker {
		return h.begin(spec, staging.Attributes{}, slow)
	}
	if h.dress.Output != nil {
		stdout, stderr, err := h.dress.Output.Open(l.Slot, l.Incarnation)
		if err != nil {
			return err
		}
		defer func() {
			if err != nil {
				h.dress.Output.LastWords(l.Slot, l.Incarnation, 0) // it has none
			}
		}()
		defer stdout.Close()
		defer stderr.Close()
		spec.Stdout, spec.Stderr = int(stdout.Fd()), int(stderr.Fd())
	}
	attributes, env, done, err := h.attributes(l)
	if err != nil {
		return err
	}
	defer done()
	spec.Env = env
	over := h.underway(l.Ref)
	defer over()
	return h.begin(spec, attributes, slow)
}

// attributes are those of one worker, with the environment that goes with them.
func (h *Host) attributes(l Launch) (a staging.Attributes, env []string, done func(), err error) {
	a = staging.Attributes{User: h.dress.User, NoNewPrivs: h.dress.NoNewPrivs, Limits: h.dress.Limits, CPUs: h.dress.CPUs.For(l.Slot)}
	env, done = l.Env, func() {}
	if u := h.dress.User; u != nil && u.Home != "" {
		env = append(withoutKey(env, "HOME"), "HOME="+u.Home)
	}
	if h.notify != nil {
		address, err := h.notify.Open(l.Slot, h.workerUID())
		if err != nil {
			return a, env, done, err
		}
		env = append(slices.Clip(env), "NOTIFY_SOCKET="+address)
	}
	if h.dress.Sockets == nil {
		return a, env, done, nil
	}
	shared, err := h.dress.Sockets.For(l.Slot)
	if err != nil {
		return a, env, done, err
	}
	a.Files = shared.FDs()
	return a, append(sockets.Without(env), shared.Environment()...), shared.Close, nil
}

// withoutKey leaves out a variable.
func withoutKey(environ []string, key string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, key+"=") })
}

const (
	// slowStart is more than a disk takes that is in order, and a start.
	slowStart = 50 * time.Millisecond
	// freshRead is for how long what was read is in memory for certain enough: the
	// starts of one moment share the 10 us that it costs.
	freshRead = 10 * time.Millisecond
)

// preparation is what is known about starts, by the thread that starts.
type preparation struct {
	path string // what was read last, and when
	at   time.Time
	// slow says that the last start took long although what it reads was in
	// memory: some security software decides then about each exec, and is asked
	// by no other system call.
	slow bool
}

// isSlow reads what the start of a program will, where waiting for it keeps
// nobody but other starts, and reports whether that took so long that it may
// once more.
func (h *Host) isSlow(path string) bool {
	p, began := &h.preparation, time.Now()
	if p.path == path && began.Sub(p.at) < freshRead {
		return p.slow
	}
	preread.Program(h.cwd, path)
	now := time.Now()
	if now.Sub(began) > slowStart {
		return true
	}
	p.path, p.at = path, now
	return p.slow
}

// begin starts a process, on the stage if it has attributes or its file comes
// slowly: then the exec that may hang is not that of the thread that forks.
func (h *Host) begin(spec reaper.Spec, a staging.Attributes, slow bool) error {
	began := time.Now()
	defer func() { h.preparation.slow = time.Since(began) > slowStart }()
	if a.Empty() && !slow {
		return h.reaper.Start(spec)
	}
	stage := h.dress.Stage
	if stage == nil {
		var err error
		if stage, err = staging.New("/proc"); err != nil {
			return h.reaper.Start(spec) // it needs no stage, it would be better
		}
		defer stage.Close()
	}
	return h.onStage(stage, spec, a)
}

func (h *Host) onStage(stage *staging.Stage, spec reaper.Spec, a staging.Attributes) error {
	launch, err := stage.Prepare(staging.Command{Path: spec.Path, Args: spec.Args, Env: spec.Env, Attributes: a})
	if err != nil {
		return err
	}
	defer launch.Close()
	spec.Name = spec.Path
	spec.Path, spec.Args, spec.Env = launch.Path, launch.Args, launch.Env
	spec.Inherit, spec.Confirm = launch.Inherit, launch.Confirm
	return h.reaper.Start(spec)
}

// CloseSockets implements System.
func (h *Host) CloseSockets() {
	if h.dress.Sockets != nil {
		h.dress.Sockets.Close()
	}
}

// RetireSlot implements System.
func (h *Host) RetireSlot(slot int) {
	if h.notify != nil {
		h.files.put(func() { _ = h.notify.Shut(slot) }) // it may wait for a moment
	}
	if h.dress.Sockets != nil {
		h.dress.Sockets.Retire(slot)
	}
}
