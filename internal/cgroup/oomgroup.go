package cgroup

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"
)

// OOMGroup reports whether the kernel ends all processes of the group when one
// of them runs out of memory: memory.oom.group is 1 for it or a visible group
// above (kernel: cgroup-v2.rst; Linux 4.19). On v1 it never does.
func (g *Group) OOMGroup() bool {
	at := g.seen.place(memory)
	if !at.found || !at.v2 {
		return false
	}
	for path := at.path; ; path = path[:strings.LastIndexByte(path, '/')] {
		if g.isOne(at.mount + path + "/memory.oom.group") {
			return true
		}
		if path == "" {
			return false
		}
	}
}

func (g *Group) isOne(path string) bool {
	fd, err := unix.Open(g.root+path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var buf [16]byte
	n, err := read(fd, buf[:])
	return err == nil && string(bytes.TrimSpace(buf[:n])) == "1"
}
