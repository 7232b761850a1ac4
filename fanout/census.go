package fanout

import (
	"strconv"
	"time"

	"github.com/brood-init/brood/internal/proc"
)

// The families under which the reaper counts orphans: that of a worker is its
// slot's number.
const (
	familyUnknown = 0
	familyHook    = -1
	familyProbe   = -2
)

// family is under which the orphans of a process are counted.
func family(ref Ref) int {
	switch ref.Kind {
	case KindWorker:
		return ref.Slot
	case KindProbe:
		return familyProbe
	}
	return familyHook
}

// Orphans counts by their origin what brood has reaped without having started it.
type Orphans struct {
	Slots                 map[int]int // by slot; nil for none
	Hooks, Probes, Others int         // of hooks and probes, and of whom nobody knows
}

// origins sorts what the reaper has counted.
func origins(families map[int]int) (o Orphans) {
	for of, n := range families {
		switch of {
		case familyUnknown:
			o.Others = n
		case familyHook:
			o.Hooks = n
		case familyProbe:
			o.Probes = n
		default:
			if o.Slots == nil {
				o.Slots = make(map[int]int, len(families))
			}
			o.Slots[of] = n
		}
	}
	return o
}

// Census is what a look at all processes has found. It never changes.
type Census struct {
	At    time.Time
	Slots map[int]Leaks
}

// Leaks are processes that are there because a slot's workers do not see to
// their children.
type Leaks struct {
	// Zombies have ended below a worker and were not waited for by their parent.
	Zombies int
	// Adopted live, and their parent has ended: they are brood's children now.
	Adopted int
}

// Bounds on one look: 2.2 us for each process, 5 for an environment.
const (
	mostProcesses    = 4096
	mostEnvironments = 256
)

// Census counts what the slots leak, or returns a count that is not older than
// maxAge; nil where it cannot be had, since /proc tells nothing or too many
// processes are there. It also learns which processes that have left their
// worker's group descend from which slot, so that they are told apart when they
// have ended.
func (h *Host) Census(maxAge time.Duration) *Census {
	h.censusMu.Lock()
	defer h.censusMu.Unlock()
	if time.Since(h.censusAt) < maxAge {
		return h.census
	}
	h.censusAt = time.Now()
	h.census = h.takeCensus()
	return h.census
}

func (h *Host) takeCensus() *Census {
	asOf := bootTicks()
	pids, err := h.proc.PIDs()
	if err != nil || len(pids) > mostProcesses {
		return nil
	}
	look := look{host: h, all: make(map[int]proc.Stat, len(pids)), families: make(map[int]int)}
	look.started, look.highest = h.startedFamilies()
	for _, pid := range pids {
		if st, err := h.proc.Stat(pid); err == nil {
			look.all[pid] = st
		}
	}
	self := look.all[h.self]
	found := &Census{At: h.censusAt, Slots: make(map[int]Leaks)}
	learnt := make(map[int]int)
	for pid, st := range look.all {
		of := look.family(pid, 0)
		if _, started := look.started[pid]; of == familyUnknown || started {
			continue
		}
		if st.PGRP > 0 && st.PGRP != self.PGRP && look.started[st.PGRP] == 0 {
			learnt[st.PGRP] = of
		}
		if st.Session > 0 && st.Session != self.Session {
			learnt[st.Session] = of
		}
		if of < 0 {
			continue
		}
		leaks := found.Slots[of]
		switch {
		case st.Ended() && st.PPID != h.self:
			leaks.Zombies++
		case !st.Ended() && st.PPID == h.self:
			leaks.Adopted++
		}
		found.Slots[of] = leaks
	}
	h.reaper.Learn(learnt, asOf)
	return found
}

// startedFamilies are the families of processes that brood has started and not
// reaped, with the highest slot.
func (h *Host) startedFamilies() (all map[int]int, highest int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all = make(map[int]int, len(h.processes))
	for ref, p := range h.processes {
		if h.reaper.Owns(p.PID()) {
			all[p.PID()] = family(ref)
		}
	}
	return all, h.highest
}

// look is one look at all processes.
type look struct {
	host         *Host
	all          map[int]proc.Stat
	started      map[int]int
	families     map[int]int // of those that were found out
	environments int         // that were read
	highest      int         // slot that there was
}

// family finds out who of those that brood has started is a process's ancestor,
// or was: an adopted one is known by its group or its environment.
func (l *look) family(pid, depth int) int {
	if of, ok := l.started[pid]; ok {
		return of
	}
	if of, ok := l.families[pid]; ok {
		return of
	}
	st, ok := l.all[pid]
	of := familyUnknown
	switch {
	case !ok, pid == l.host.self, depth > mostAncestors:
	case st.PPID == l.host.self:
		if of = l.host.reaper.Family(st.PGRP, st.Session); of == familyUnknown {
			of = l.byEnvironment(pid)
		}
	default:
		of = l.family(st.PPID, depth+1)
	}
	l.families[pid] = of
	return of
}

// byEnvironment believes what the process was started with. It may have been
// made up: nothing but counters depends on it.
func (l *look) byEnvironment(pid int) int {
	if l.environments++; l.environments > mostEnvironments {
		return familyUnknown
	}
	env, err := l.host.proc.Environ(pid)
	if err != nil {
		return familyUnknown
	}
	pattern, ok := env.Get(EnvPIDFile)
	if dir := l.host.dir; dir != nil && (!ok || pattern != dir.Pattern().String()) {
		return familyUnknown // a stranger's, or that of a brood in this one
	}
	if reason, _ := env.Get(EnvReason); reason != "" {
		return familyHook
	}
	text, _ := env.Get(EnvSlot)
	slot, err := strconv.Atoi(text)
	if err != nil || slot < 1 || slot > l.highest {
		return familyUnknown
	}
	return slot
}
