package fanout

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/brood-init/brood/pidfiles"
)

// registrar keeps track of the processes that have registered themselves. It
// lives on the goroutine of Host.files.
type registrar struct {
	host     *Host
	watched  map[registeredKey]*watched
	seen     map[int]bool    // PIDs that were watched once
	reported map[string]bool // problems that were told, by their keys
	degraded bool            // told that the kernel refuses pidfds
}

// registeredKey is one process: a PID alone may be another one tomorrow.
type registeredKey struct {
	pid   int
	start uint64
}

type watched struct {
	*pidfiles.Registered
	had map[syscall.Signal]bool // signals that it has had from us
}

func newRegistrar(h *Host) registrar {
	return registrar{host: h, watched: make(map[registeredKey]*watched), seen: make(map[int]bool), reported: make(map[string]bool)}
}

// Registered implements System. A process that was seen once is watched until
// it has ended, even if its file goes first: it may be draining.
func (h *Host) Registered(sig syscall.Signal) {
	h.files.put(func() {
		if h.dir == nil {
			h.send(RegisteredSeen{Signal: sig})
			return
		}
		h.send(h.registered.look(sig))
	})
}

func (r *registrar) look(sig syscall.Signal) RegisteredSeen {
	seen := RegisteredSeen{Signal: sig, Problems: r.list()}
	for key, w := range r.watched {
		if w.Ended() {
			w.Close()
			delete(r.watched, key)
			continue
		}
		p := RegisteredProcess{Index: w.Index, PID: w.PID, Comm: w.Comm}
		if sig != 0 && !w.had[sig] {
			w.had[sig] = true
			if sig == syscall.SIGTERM && r.spared(key) {
				seen.Alive = append(seen.Alive, p)
				continue
			}
			err := w.Signal(sig)
			if errors.Is(err, pidfiles.ErrEnded) {
				w.Close()
				delete(r.watched, key)
				continue
			}
			if err != nil {
				seen.Problems = append(seen.Problems, err)
			} else {
				r.host.sweeper.tell(key)
				r.wake(w)
				seen.Signalled = append(seen.Signalled, p)
			}
		}
		seen.Alive = append(seen.Alive, p)
	}
	return seen
}

// wake lets a process that was stopped act on the signal it has got.
func (r *registrar) wake(w *watched) {
	if st, err := r.host.proc.Stat(w.PID); err == nil && st.StartTicks == w.StartTicks && jobStopped(st) {
		_ = w.Signal(syscall.SIGCONT) // it has ended meanwhile
	}
}

// spared reports whether the process has had SIGTERM with its group.
func (r *registrar) spared(key registeredKey) bool {
	st, err := r.host.proc.Stat(key.pid)
	return err == nil && keyOf(st) == key && r.host.sweeper.spared(st, nil)
}

// list takes up who has registered since the last look, and returns what is
// wrong with the other files, each once.
func (r *registrar) list() (problems []error) {
	listed, bad := r.host.dir.List(r.host.reaper.Owns)
	for _, p := range listed {
		key := registeredKey{p.PID, p.StartTicks}
		if r.watched[key] != nil {
			p.Close()
			continue
		}
		r.watched[key] = &watched{Registered: p, had: make(map[syscall.Signal]bool)}
		r.seen[p.PID] = true
	}
	for i := range bad {
		if bad[i].Kind == pidfiles.Stale && r.seen[bad[i].PID] {
			continue // it has ended, as it should, and its file is still there
		}
		switch key := bad[i].Key(); {
		case r.reported[key] || len(r.reported) > mostProblems:
		case len(r.reported) == mostProblems:
			r.reported[key] = true
			problems = append(problems, fmt.Errorf("cannot use PID file %q either, nor more of them: no further ones are named", bad[i].Path))
		default:
			r.reported[key] = true
			problems = append(problems, &bad[i])
		}
	}
	if r.host.dir.Degraded() && !r.degraded {
		r.degraded = true
		problems = append(problems, errNoPidfd)
	}
	return problems
}

// mostProblems bounds the files that are complained about one by one: whoever
// may write to the directory must not fill the log.
const mostProblems = 100

// errNoPidfd is told once where pidfd_open is refused (before Linux 5.3, or by a
// seccomp filter): what is left is a check of the start time just before the
// signal.
var errNoPidfd = errors.New("cannot pin registered processes by pidfd here: signalled by PID after a check of the start time")
