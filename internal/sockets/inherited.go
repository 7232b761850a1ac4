package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// first is SD_LISTEN_FDS_START.
const first = 3

// maxInherited catches a LISTEN_FDS that is a slip.
const maxInherited = 4096

// InheritedSocket is a socket that brood was born with.
type InheritedSocket struct {
	FD      int
	Name    string // "unknown" if it was given none
	Address string // as net.Addr has it; empty if it has none
}

// Inherited returns the sockets that sd_listen_fds(3) would, for the process
// pid with this environment: none if LISTEN_PID is not pid. It makes their
// descriptors close-on-exec, and leaves their mode as it is.
func Inherited(environ []string, pid int) ([]InheritedSocket, error) {
	if getenv(environ, "LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	count := getenv(environ, "LISTEN_FDS")
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || n > maxInherited {
		return nil, fmt.Errorf("LISTEN_FDS is %q: want the number of sockets", count)
	}
	var names []string
	if list := getenv(environ, "LISTEN_FDNAMES"); list != "" {
		if names = strings.Split(list, ":"); len(names) != int(n) {
			return nil, fmt.Errorf("LISTEN_FDNAMES has %d names, and LISTEN_FDS is %d: want one name for each", len(names), n)
		}
	}
	all := make([]InheritedSocket, n)
	for i := range all {
		s := InheritedSocket{FD: first + i, Name: "unknown"}
		if names != nil {
			s.Name = names[i]
		}
		if s.Address, err = adopt(s.FD); err != nil {
			return nil, fmt.Errorf("descriptor %d of LISTEN_FDS: %w", s.FD, err)
		}
		all[i] = s
	}
	return all, nil
}

func adopt(fd int) (address string, err error) {
	at, err := unix.Getsockname(fd)
	switch err {
	case nil:
	case unix.EBADF, unix.ENOTSOCK:
		return "", errors.New("there is no socket open: want what systemd's sd_listen_fds(3) describes")
	default:
		return "", err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return format(at), err
}

// format writes an address as Spec.Address has it, with brackets and a zone
// where they belong. An IPv6 socket for any address has "[::]".
func format(at unix.Sockaddr) string {
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)).String()
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(at.Addr)
		if at.ZoneId != 0 {
			ip = ip.WithZone(zoneName(at.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(at.Port)).String()
	case *unix.SockaddrUnix:
		return at.Name
	}
	return ""
}

func zoneName(id uint32) string {
	if nic, err := net.InterfaceByIndex(int(id)); err == nil {
		return nic.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}

// is reports whether an inherited socket is what s asks for.
func (s Spec) is(in InheritedSocket) bool {
	if s.Name != "" && s.Name == in.Name {
		return true
	}
	address := s.Address
	if host, port, err := net.SplitHostPort(address); s.Network != "unix" && err == nil && host == "" {
		return in.Address == "[::]:"+port || in.Address == "0.0.0.0:"+port
	}
	return address == in.Address
}

func getenv(environ []string, name string) string {
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v // of two a C library takes the first
		}
	}
	return ""
}
