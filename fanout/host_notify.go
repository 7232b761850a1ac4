package fanout

import (
	"fmt"

	"github.com/brood-init/brood/internal/notify"
)

// newNotify hears the workers.
func (h *Host) newNotify() *notify.Server {
	return notify.New(notify.Options{
		Dir:   h.dress.NotifyDir,
		Name:  h.dress.NotifyName,
		Owner: h.speaker,
		Heard: func(m notify.Message) {
			h.send(Notified{
				Ref:   Ref{KindWorker, m.Slot, m.Incarnation},
				Ready: m.Ready, Reloading: m.Reloading, Stopping: m.Stopping, Ping: m.Watchdog, Trigger: m.WatchdogTrigger,
				Status: m.Status, Extend: m.ExtendTimeout, Watchdog: m.WatchdogInterval,
			})
		},
		Refused: func(r notify.Refusal) {
			h.send(NotifyRefused{fmt.Errorf("cannot take what process %d (uid %d) says for slot %d: %s %s", r.PID, r.UID, r.Slot, r.Reason, r.Detail)})
		},
	})
}

// workerUID is whom workers run as, -1 for brood's own user.
func (h *Host) workerUID() int {
	if h.dress.User == nil {
		return -1
	}
	return int(h.dress.User.UID)
}

// mostAncestors bounds the way up from a process to its worker.
const mostAncestors = 64

// underway is a start from before the fork until the engine is about to hear of
// it: the process may speak before anybody knows its PID.
type underway struct {
	ref  Ref
	over chan struct{}
}

// underway notes the start of a worker, until over is called. Starts come one
// after another.
func (h *Host) underway(ref Ref) (over func()) {
	u := &underway{ref, make(chan struct{})}
	h.mu.Lock()
	h.starting = u
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		h.starting = nil
		h.mu.Unlock()
		close(u.over)
	}
}

// speaker returns the worker that says something on a slot's socket. One that is
// just being started, which whoever is not known here may be, has to wait: on a busy
// machine it runs before the thread that has forked it, and the engine is to hear
// of its start first.
func (h *Host) speaker(on, pid int) (slot, incarnation int, ok bool) {
	h.mu.Lock()
	u := h.starting
	h.mu.Unlock()
	slot, incarnation, ok = h.workerOf(pid)
	if u == nil || u.ref.Slot != on || ok && (Ref{KindWorker, slot, incarnation}) != u.ref {
		return slot, incarnation, ok
	}
	select {
	case <-u.over:
	case <-h.closed:
	}
	return h.workerOf(pid)
}

// workerOf returns the worker that a process is, or descends from, or whose
// process group it is in: what an ended parent has left is still the worker's.
func (h *Host) workerOf(pid int) (slot, incarnation int, ok bool) {
	workers := make(map[int]Ref)
	h.mu.Lock()
	for ref, p := range h.processes {
		if ref.Kind == KindWorker {
			workers[p.PID()] = ref
		}
	}
	h.mu.Unlock()
	for range mostAncestors {
		if ref, found := workers[pid]; found && h.reaper.Owns(pid) {
			return ref.Slot, ref.Incarnation, true
		}
		st, err := h.proc.Stat(pid)
		if err != nil || st.PPID <= 0 {
			return 0, 0, false
		}
		if ref, found := workers[st.PGRP]; found {
			return ref.Slot, ref.Incarnation, true
		}
		pid = st.PPID
	}
	return 0, 0, false
}
