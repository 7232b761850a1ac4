package reaper

import (
	"syscall"
	"time"
)

// An orphan's parents are gone when it is reaped, but a zombie still has its
// process group and its session, at 0.1 us each. What is started here leads a
// group, which children stay in unless they leave it: that tells whose family an
// orphan was of. Of one that has left it, as daemons do, only somebody who has
// seen it alive can tell: see Learn.

// maxLeft bounds the groups whose leader has ended and that may have members.
const maxLeft = 1024

// learntFor is how long what was learnt holds for processes that are younger
// than it: after that a number may have passed to strangers.
const learntFor = time.Minute

// families is guarded by Reaper.mu, as the children are.
type families struct {
	// left are the families of groups whose leader was reaped before others of
	// the group. A number cannot be reused while a member is left.
	left map[int]int
	// learnt are families of groups and sessions that nobody started here leads.
	learnt   map[int]int
	learntAt time.Time
	asOf     uint64 // the same in ticks of the boot clock
}

// Learn says which family the processes of groups and sessions belong to that
// were not started here, as seen at asOf, in ticks of the boot clock. It replaces
// what was said before; the map is the Reaper's from now on.
func (r *Reaper) Learn(groups map[int]int, asOf uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.families.learnt, r.families.learntAt, r.families.asOf = groups, time.Now(), asOf
}

// Family is that of a living process of this group and session, 0 if it is not
// known.
func (r *Reaper) Family(group, session int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if family, ok := r.startedLocked(group); ok {
		return family
	}
	if family, ok := r.families.learnt[group]; ok {
		return family
	}
	return r.families.learnt[session]
}

// startedLocked is the family of a group whose leader was started here.
func (r *Reaper) startedLocked(group int) (family int, ok bool) {
	if p := r.children[group]; p != nil {
		return p.family, true
	}
	family, ok = r.families.left[group]
	return family, ok
}

// familyLocked is that of an orphan that has ended and is not reaped yet, with
// its group.
func (r *Reaper) familyLocked(pid int) (family, group int) {
	group = get(syscall.SYS_GETPGID, pid)
	if pid == group {
		delete(r.families.left, group) // all of that group are gone: the number is somebody else's
	}
	if family, ok := r.startedLocked(group); ok {
		return family, group
	}
	return r.learntLocked(pid, group), group
}

func (r *Reaper) learntLocked(pid, group int) int {
	f := &r.families
	if len(f.learnt) == 0 {
		return 0
	}
	family, ok := f.learnt[group]
	if !ok {
		family = f.learnt[get(syscall.SYS_GETSID, pid)]
	}
	if family == 0 || time.Since(f.learntAt) < learntFor {
		return family
	}
	if st, err := r.proc.Stat(pid); err != nil || st.StartTicks > f.asOf {
		return 0
	}
	return family
}

// leave keeps the family of a leader that was reaped while its group has
// members.
func (f *families) leave(group, family int) {
	if family == 0 {
		return
	}
	if len(f.left) >= maxLeft {
		for any := range f.left {
			delete(f.left, any)
			break
		}
	}
	f.left[group] = family
}

// reapedLocked forgets a group that was left once its last member is reaped.
func (r *Reaper) reapedLocked(group int) {
	if _, left := r.families.left[group]; left && kill(-group, 0) == syscall.ESRCH {
		delete(r.families.left, group)
	}
}

// get asks for the group or the session of a process; 0 is none.
func get(call uintptr, pid int) int {
	id, _, errno := syscall.RawSyscall(call, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(id)
}
