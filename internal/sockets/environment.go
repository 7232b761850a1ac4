package sockets

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Socket is one of a worker's sockets.
type Socket struct {
	Name    string // of LISTEN_FDNAMES; may be empty
	Address string // host:port, a port alone for any address, or a path
	FD      int    // brood's number; the worker's are 3, 4, and so on
}

// Sockets are a worker's, in order.
type Sockets []Socket

// Close closes the descriptors.
func (s Sockets) Close() {
	for _, one := range s {
		_ = unix.Close(one.FD)
	}
}

// FDs returns the descriptors.
func (s Sockets) FDs() []int {
	fds := make([]int, len(s))
	for i, one := range s {
		fds[i] = one.FD
	}
	return fds
}

// Environment returns the variables that tell a worker of its sockets, all but
// LISTEN_PID: none without sockets.
func (s Sockets) Environment() []string {
	if len(s) == 0 {
		return nil
	}
	n := strconv.Itoa(len(s))
	names, ports := make([]string, len(s)), make([]string, 0, len(s))
	env := []string{"LISTEN_FDS=" + n, "EINHORN_FD_COUNT=" + n}
	for i, one := range s {
		fd := strconv.Itoa(first + i)
		names[i] = one.Name
		if one.Name == "" {
			names[i] = "unknown" // as sd_listen_fds_with_names(3) has it
		}
		if one.Address != "" {
			ports = append(ports, one.Address+"="+fd)
		}
		env = append(env, "EINHORN_FD_"+strconv.Itoa(i)+"="+fd)
	}
	return append(env,
		"LISTEN_FDNAMES="+strings.Join(names, ":"),
		"SERVER_STARTER_PORT="+strings.Join(ports, ";"))
}

// Without returns environ without the variables of the three protocols. They
// speak of brood's descriptors, or of brood's parent.
func Without(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "SERVER_STARTER_PORT":
			return true
		}
		return strings.HasPrefix(name, "EINHORN_")
	})
}
