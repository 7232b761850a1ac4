package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// resolveTimeout is for a host that is a name; those in /etc/hosts take no time.
const resolveTimeout = 10 * time.Second

// listenTCP binds a blocking socket unless the spec says otherwise: accept in
// Python and others fails on one that is not, and the flag belongs to the socket,
// not to the descriptor. Our own descriptor is close-on-exec.
func (s Spec) listenTCP() (int, error) {
	at, err := s.resolve()
	if err != nil {
		return -1, err
	}
	both := !at.IsValid()
	if !both {
		return s.bindTCP(at)
	}
	// :PORT is IPv6 and, through it, IPv4, where the kernel has IPv6.
	_, port, _ := net.SplitHostPort(s.Address)
	n, _ := strconv.ParseUint(port, 10, 16)
	fd, err := s.bindTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(n)))
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return s.bindTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n)))
	}
	return fd, err
}

// resolve returns the address to bind, none for any address of both families.
func (s Spec) resolve() (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case host == "" && s.Network == "tcp4":
		host = "0.0.0.0"
	case host == "" && s.Network == "tcp6":
		host = "::"
	case host == "", host == "::" && s.Network == "tcp":
		return netip.AddrPort{}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip, uint16(n)), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+strings.TrimPrefix(s.Network, "tcp"), host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(preferred(all), uint16(n)), nil
}

// preferred is an IPv4 address if there is one, as net.Listen has it: in
// containers "localhost" often names ::1 where nothing has it.
func preferred(all []netip.Addr) netip.Addr {
	for _, ip := range all {
		if ip.Unmap().Is4() {
			return ip.Unmap()
		}
	}
	return all[0]
}

func (s Spec) bindTCP(at netip.AddrPort) (fd int, err error) {
	ip := at.Addr().Unmap()
	family, address := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port()), Addr: v4(ip)})
	if ip.Is6() {
		scope, err := scopeID(ip.Zone())
		if err != nil {
			return -1, err
		}
		family, address = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: ip.As16(), ZoneId: scope}
	}
	return s.bind(family, address, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		if ip.Is6() {
			// net.ipv6.bindv6only is another's default.
			only := 1
			if s.Network == "tcp" && ip.IsUnspecified() {
				only = 0
			}
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
				return err
			}
		}
		if s.ReusePort {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		return nil
	})
}

// bind closes what it has opened if it fails.
func (s Spec) bind(family int, at unix.Sockaddr, prepare func(fd int) error) (int, error) {
	kind := unix.SOCK_STREAM | unix.SOCK_CLOEXEC
	if s.NonBlock {
		kind |= unix.SOCK_NONBLOCK
	}
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		return -1, err
	}
	if err = prepare(fd); err == nil {
		err = unix.Bind(fd, at)
	}
	if err == nil {
		err = unix.Listen(fd, backlog())
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// backlog is the most that the kernel allows: it cuts off anything above.
func backlog() int {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if n, notNumber := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && notNumber == nil && n > 0 {
		return n
	}
	return 4096 // Linux 5.4 and later
}

func v4(ip netip.Addr) [4]byte {
	if ip.Is4() {
		return ip.As4()
	}
	return [4]byte{}
}

func scopeID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	nic, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("there is no interface %q: %w", zone, err)
	}
	return uint32(nic.Index), nil
}
