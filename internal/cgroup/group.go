package cgroup

import (
	"bytes"
	"errors"
	"strings"
)

// Group is the control group of the calling process, found once: where its
// files are does not change, unless somebody moves the process, which is not
// followed. Methods may be called from any goroutine; none of them waits for
// another.
type Group struct {
	root    string
	seen    view
	account place // v1's cpuacct, which has no limits
}

// Locate finds the group of the calling process. That reads all of mountinfo,
// 2 us for each mount; what follows reads only the files asked for. The Group is
// never nil, and as complete as it could be made, whatever the error.
func Locate(root Root) (*Group, error) {
	g := &Group{root: strings.TrimRight(string(root), "/")}
	r := reader{root: g.root}
	var own membership
	account := ""
	r.lines("/proc/self/cgroup", func(line []byte) bool {
		if path, ok := accountPath(line); ok {
			account = path
		}
		return own.add(line)
	})
	g.seen.own = &own
	complete := false
	r.lines("/proc/self/mountinfo", func(line []byte) bool {
		if account != "" && !g.account.all {
			g.addAccount(line, account)
		}
		complete = complete || !g.seen.add(line)
		return !complete || account != "" && !g.account.all
	})
	return g, errors.Join(r.problems...)
}

// Version says which kind of control groups the process is in.
func (g *Group) Version() Version { return g.seen.version() }

// Limits reads the limits that hold now, as Read does, but for the affinity.
func (g *Group) Limits() (Limits, error) {
	r := reader{root: g.root}
	limits := Limits{Version: g.Version()}
	r.readCPU(g.seen.place(cpu), &limits)
	r.readMemory(g.seen.place(memory), &limits)
	r.readPIDs(g.seen.place(pids), &limits)
	return limits, errors.Join(r.problems...)
}

// own is the directory of the process's very own group, or "" when that cannot
// be seen: what an ancestor has used, others may have used.
func (p place) own() string {
	if !p.found || !p.whole {
		return ""
	}
	return p.mount + p.path
}

// cpuacct is the v1 controller that counts CPU time. It is mostly mounted
// together with cpu, and need not be.
const cpuacct = "cpuacct"

// accountPath finds the group of cpuacct in a line of /proc/self/cgroup.
func accountPath(line []byte) (path string, ok bool) {
	_, rest, _ := bytes.Cut(line, []byte{':'})
	names, group, _ := bytes.Cut(rest, []byte{':'})
	return string(group), names != nil && listed(names)
}

// addAccount takes a line of /proc/self/mountinfo.
func (g *Group) addAccount(line []byte, group string) {
	if m, ok := parseMount(line); ok && !m.v2 && listed(m.options) {
		g.account.improve(m, group)
	}
}

func listed(names []byte) bool {
	for name := range bytes.SplitSeq(names, []byte{','}) {
		if string(name) == cpuacct {
			return true
		}
	}
	return false
}
