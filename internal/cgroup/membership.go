package cgroup

import (
	"bytes"
	"strings"
)

// controller is a kind of limit that is looked for.
type controller int

const (
	cpu controller = iota
	memory
	pids
	cpuset
	controllers
)

// controllerNamed finds a controller by its name in /proc/self/cgroup and among
// the super options of a v1 mount.
func controllerNamed(name []byte) (c controller, ok bool) {
	switch string(name) {
	case "cpu":
		return cpu, true
	case "memory":
		return memory, true
	case "pids":
		return pids, true
	case "cpuset":
		return cpuset, true
	}
	return 0, false
}

// membership is what /proc/self/cgroup says: in which group the process is, of
// each v1 hierarchy and of the v2 one. An empty path is no line at all.
type membership struct {
	v1 [controllers]string
	v2 string
}

// add takes a line "ID:CONTROLLERS:PATH" (cgroups(7)). The path may hold colons,
// never a line end. A group that has been removed has " (deleted)" after its
// path; its ancestors are still there and are found. It always asks for more.
func (m *membership) add(line []byte) (more bool) {
	id, rest, ok := bytes.Cut(line, []byte{':'})
	names, path, ok2 := bytes.Cut(rest, []byte{':'})
	if !ok || !ok2 || len(path) == 0 || path[0] != '/' {
		return true
	}
	if string(id) == "0" && len(names) == 0 {
		m.v2 = string(path)
		return true
	}
	for name := range bytes.SplitSeq(names, []byte{','}) {
		if c, ok := controllerNamed(name); ok {
			m.v1[c] = string(path)
		}
	}
	return true
}

// location is a group's path, taken apart. In a cgroup namespace the kernel
// writes what lies outside of it as "/../..": up counts those, and path is the
// way down from there, "" or "/a/b".
type location struct {
	up   int
	path string
}

// locate takes apart a path of /proc/self/cgroup or the root of a mount. Empty
// elements are dropped; "." and a ".." that comes later than at the start,
// which the kernel never writes, make it unknown.
func locate(path string) (loc location, ok bool) {
	if path == "" || path[0] != '/' {
		return location{}, false
	}
	var down strings.Builder
	for element := range strings.SplitSeq(path, "/") {
		switch {
		case element == "":
		case element == ".." && down.Len() == 0:
			loc.up++
		case element == "." || element == "..":
			return location{}, false
		default:
			down.WriteByte('/')
			down.WriteString(element)
		}
	}
	loc.path = down.String()
	return loc, true
}

// within is the path of the group below the mounted root, "" or "/a/b", when the
// root is the group or an ancestor of it. whole is false when the names
// between the root and the group cannot be known: after unshare(CLONE_NEWCGROUP)
// without a new mount, the mount's root is written "/.." and the group "/".
// Then the path is that of the nearest ancestor that can be named, the root.
func (group location) within(root location) (path string, whole, ok bool) {
	switch {
	case group.up == root.up:
		rest, found := strings.CutPrefix(group.path, root.path)
		if !found || (rest != "" && rest[0] != '/') {
			return "", false, false
		}
		return rest, true, true
	case group.up < root.up && root.path == "":
		return "", false, true
	}
	return "", false, false
}
