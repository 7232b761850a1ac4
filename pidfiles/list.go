package pidfiles

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// List returns the living processes that files of the Pattern name, by
// ascending index, and a Problem for each file that names none to be trusted.
// A process named by several files is returned once. Files that name a PID for
// which skip returns true are left out unseen, neither verified nor a problem:
// a master knows its own workers. skip may be nil. A file that Write has made is
// no problem for naming a process that has ended since.
//
// The caller closes what is returned. A process that was listed before is
// listed again, with the same ID.
func (d *Dir) List(skip func(pid int) bool) ([]*Registered, []Problem) {
	files, _, problem := d.entries()
	if problem != nil {
		return nil, []Problem{*problem}
	}
	var (
		listed   []*Registered
		problems []Problem
		byID     = make(map[ID]*Registered)
	)
	for _, file := range files {
		r, problem := d.look(file.name, skip)
		switch {
		case problem != nil:
			// A file of our own whose process has just ended is about to go.
			ours := problem.Kind == Stale && d.hasWritten(file.index, problem.PID)
			if problem.Kind != vanished && !ours {
				problems = append(problems, *problem)
			}
		case r == nil:
		case byID[r.ID()] != nil:
			first := byID[r.ID()]
			first.Indices = append(first.Indices, file.index)
			r.Close()
		default:
			r.Index, r.Indices = file.index, []int{file.index}
			byID[r.ID()] = r
			listed = append(listed, r)
		}
	}
	return listed, problems
}

// look returns neither a process nor a problem for a PID to be skipped.
func (d *Dir) look(name string, skip func(pid int) bool) (*Registered, *Problem) {
	c, problem := d.readRegistered(name)
	if problem != nil {
		return nil, problem
	}
	if skip != nil && skip(c.pid) {
		return nil, nil
	}
	return d.identify(c)
}

// readRegistered refuses PID 1 on top of what read does: whoever that is, it is
// no process that somebody has started to be stopped with us.
func (d *Dir) readRegistered(name string) (claim, *Problem) {
	c, problem := d.read(name)
	if problem == nil && c.pid == 1 {
		problem = c.problem(Malformed, errors.New("process 1 is init"))
	}
	return c, problem
}

// CleanStale removes the files of an earlier life: those of the Pattern whose
// process is gone or is not the one meant, and temporary files whose writer is.
// What names a living process stays, and so does, with a Problem, what cannot
// be understood or verified. It returns the paths of what it has removed.
func (d *Dir) CleanStale() (removed []string, problems []Problem) {
	files, temps, problem := d.entries()
	if problem != nil {
		return nil, []Problem{*problem}
	}
	clean := func(name string, c claim, problem *Problem) {
		if problem.Kind == Stale || problem.Kind == Recycled {
			if problem = d.removeIfSame(name, c); problem == nil {
				removed = append(removed, c.path)
				return
			}
		}
		if problem.Kind != vanished {
			problems = append(problems, *problem)
		}
	}
	for _, file := range files {
		c, problem := d.readRegistered(file.name)
		if problem == nil {
			problem = d.gone(c)
		}
		if problem != nil {
			clean(file.name, c, problem)
		}
	}
	for _, name := range temps {
		// A temporary file that is not certainly over may be about to get its
		// real name; that is no problem either.
		c, ok := d.tempClaim(name)
		if !ok {
			continue
		}
		if problem := d.gone(c); problem != nil && (problem.Kind == Stale || problem.Kind == Recycled) {
			clean(name, c, problem)
		}
	}
	return removed, problems
}

// gone is nil when the claim is about a living process to be trusted.
func (d *Dir) gone(c claim) *Problem {
	r, problem := d.identify(c)
	if problem != nil {
		return problem
	}
	r.Close()
	return nil
}

// removeIfSame removes the file that the claim was read from, unless the name
// belongs to another one by now, or it has been written again.
func (d *Dir) removeIfSame(name string, c claim) *Problem {
	if now, ok := d.statClaim(name); !ok || now.inode != c.inode || !now.wrote.Equal(c.wrote) {
		return c.problem(vanished, nil)
	}
	switch err := d.unlink(name); err {
	case nil:
		return nil
	case unix.ENOENT:
		return c.problem(vanished, nil)
	default:
		return c.problem(Unremoved, fmt.Errorf("it cannot be removed: %w", err))
	}
}
