package cgroup

import "bytes"

// place is where the groups of one hierarchy can be read: the directories from
// mount+path up to mount.
type place struct {
	mount string // where the file system is mounted, without a final slash
	path  string // from there to the process's group, "" or "/a/b"
	whole bool   // path ends at the group itself, not at an ancestor
	all   bool   // and no mount could show more ancestors
	v2    bool
	found bool
}

// view is the mounts through which the process sees its own groups.
type view struct {
	own *membership
	v1  [controllers]place
	v2  place
}

// place is where a controller's limits are: in v1 when it is bound to a v1
// hierarchy, even on a host that has v2 mounted beside it.
func (v *view) place(c controller) place {
	if v.own.v1[c] != "" {
		return v.v1[c]
	}
	return v.v2
}

func (v *view) version() Version {
	anyV1 := false
	for _, p := range v.v1 {
		anyV1 = anyV1 || p.found
	}
	switch {
	case anyV1 && v.v2.found:
		return Hybrid
	case anyV1:
		return V1
	case v.v2.found:
		return V2
	}
	return None
}

// add takes a line of /proc/self/mountinfo. It asks for more until everything
// that there is to see has been seen.
func (v *view) add(line []byte) (more bool) {
	m, ok := parseMount(line)
	if !ok {
		return true
	}
	if m.v2 {
		v.v2.improve(m, v.own.v2)
		return !v.complete()
	}
	// The directory may be called cpu, cpu,cpuacct or anything else: what is
	// mounted there is told by the options alone.
	for name := range bytes.SplitSeq(m.options, []byte{','}) {
		if c, ok := controllerNamed(name); ok {
			v.v1[c].improve(m, v.own.v1[c])
		}
	}
	return !v.complete()
}

// complete reports whether each group that the process is in has been found,
// with all of its ancestors.
func (v *view) complete() bool {
	for c, p := range v.v1 {
		if v.own.v1[c] != "" && !p.all {
			return false
		}
	}
	return v.own.v2 == "" || v.v2.all
}

// improve takes the mount when it shows more of the way to the group than the
// one taken so far. Of two that show the same, the later may lie over the
// earlier, never the other way round.
func (p *place) improve(m mount, group string) {
	groupAt, ok := locate(group)
	rootAt, ok2 := locate(string(unescape(m.root)))
	if !ok || !ok2 {
		return
	}
	path, whole, ok := groupAt.within(rootAt)
	if !ok {
		return
	}
	if p.found && (p.whole && !whole || p.whole == whole && len(p.path) > len(path)) {
		return
	}
	point := bytes.TrimRight(unescape(m.point), "/")
	*p = place{
		mount: string(point), path: path, v2: m.v2, found: true,
		whole: whole, all: whole && path == groupAt.path,
	}
}

// mount is a control group file system in /proc/self/mountinfo. The fields are
// still escaped and share the line's memory.
type mount struct {
	root    []byte // the directory of the file system that is mounted
	point   []byte // where, as this process sees it
	options []byte // the super options: for v1 they name the controllers
	v2      bool
}

// parseMount takes apart a line of mountinfo (proc_pid_mountinfo(5)); ok is
// false for other file systems and for what is no such line:
//
//	36 35 0:30 ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPEROPTIONS
//
// Fields are parted by exactly one space: the source may be empty.
func parseMount(line []byte) (m mount, ok bool) {
	before, after, found := bytes.Cut(line, []byte(" - "))
	if !found {
		return mount{}, false
	}
	kind, after, _ := bytes.Cut(after, []byte{' '})
	switch string(kind) {
	case "cgroup":
	case "cgroup2":
		m.v2 = true
	default:
		return mount{}, false
	}
	_, m.options, _ = bytes.Cut(after, []byte{' '})

	for range 3 { // the mount's number, its parent's, the device
		_, before, _ = bytes.Cut(before, []byte{' '})
	}
	m.root, before, _ = bytes.Cut(before, []byte{' '})
	m.point, _, _ = bytes.Cut(before, []byte{' '})
	if len(m.root) == 0 || len(m.point) == 0 || m.point[0] != '/' {
		return mount{}, false
	}
	return m, true
}

// unescape undoes the octal escapes (\040 for a space) of mountinfo. Without
// one it returns b itself.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && len(b)-i >= 4 && b[i+1] >= '0' && b[i+1] <= '3' && isOctal(b[i+2]) && isOctal(b[i+3]) {
			out = append(out, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }
