// Package sockets binds listening sockets once and hands them to every worker,
// so that a restart of a worker refuses no connection.
//
// A worker learns of them by the variables of three protocols: systemd's
// LISTEN_FDS and LISTEN_FDNAMES (LISTEN_PID is set by package stage, which knows
// it), SERVER_STARTER_PORT of Server::Starter, and einhorn's EINHORN_FD_COUNT
// and EINHORN_FD_<i>. In all of them the descriptors count from 3.
package sockets

import (
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
)

// Spec is a socket that is wanted. Parse makes it.
type Spec struct {
	Name      string // for LISTEN_FDNAMES; may be empty
	Network   string // tcp, tcp4, tcp6 or unix
	Address   string // host:port, or a path
	ReusePort bool   // each slot gets a socket of its own
	NonBlock  bool   // accept does not wait
}

const (
	want = "want tcp://HOST:PORT, tcp://:PORT, tcp4://…, tcp6://… or unix:///PATH, " +
		"with NAME= before it or ,reuseport and ,nonblock after it if need be"
	// maxPath is what fits into sun_path with its NUL; see unix(7).
	maxPath = 107
	// maxName is systemd's limit of a name; see sd_listen_fds(3).
	maxName = 255
)

// Parse reads "tcp://:8080", "tcp4://127.0.0.1:80", "tcp6://[::1]:80",
// "unix:///run/app.sock", each with "name=" before it and, in any order,
// ",nonblock" and, but for unix, ",reuseport" behind it. The error is one line and
// leaves the text out.
func Parse(text string) (Spec, error) {
	text = strings.TrimSpace(text)
	before, address, ok := strings.Cut(text, "://")
	if !ok {
		return Spec{}, errors.New(want)
	}
	s := Spec{Network: before}
	if name, network, named := strings.Cut(before, "="); named {
		if err := checkName(name); err != nil {
			return Spec{}, err
		}
		s.Name, s.Network = name, network
	}
	s.Address = address
	s.takeOptions()
	var err error
	switch s.Network {
	case "unix":
		err = s.checkPath()
	case "tcp", "tcp4", "tcp6":
		err = s.checkPort()
	default:
		err = fmt.Errorf("there is no network %q here: %s", s.Network, want)
	}
	if err != nil {
		return Spec{}, err
	}
	return s, nil
}

// takeOptions takes what stands behind the address off it.
func (s *Spec) takeOptions() {
	for {
		if rest, ok := strings.CutSuffix(s.Address, ",reuseport"); ok && !s.ReusePort {
			s.Address, s.ReusePort = rest, true
		} else if rest, ok := strings.CutSuffix(s.Address, ",nonblock"); ok && !s.NonBlock {
			s.Address, s.NonBlock = rest, true
		} else {
			return
		}
	}
}

func checkName(name string) error {
	strange := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' || r == ';' || r == '=' }
	switch {
	case name == "":
		return errors.New("its name is empty: " + want)
	case len(name) > maxName || strings.ContainsFunc(name, strange):
		return fmt.Errorf("its name %q has spaces or other signs in it, or is too long: want letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

func (s *Spec) checkPath() error {
	switch {
	case s.ReusePort:
		return errors.New("a unix socket cannot be bound twice: leave out ,reuseport")
	case !path.IsAbs(s.Address) || strings.HasSuffix(s.Address, "/"):
		return errors.New("want the full path of a file: unix:///run/app.sock")
	case strings.ContainsAny(s.Address, "\x00\n;="):
		// SERVER_STARTER_PORT could not be taken apart.
		return errors.New("its path has a semicolon, an equals sign or a line break in it: choose another")
	case len(s.Address) > maxPath:
		return fmt.Errorf("its path has %d bytes, and Linux takes %d for a socket: choose a shorter one", len(s.Address), maxPath)
	}
	return nil
}

func (s *Spec) checkPort() error {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return errors.New("want HOST:PORT or :PORT, with brackets around an IPv6 address: tcp://[::1]:80")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("its port is %q: want a number from 0 to 65535", port)
	}
	if strings.ContainsAny(host, " \t\x00\n,;=/@") {
		return fmt.Errorf("its host is %q: want a name or an address", host)
	}
	ip := net.ParseIP(strings.TrimSuffix(host, zone(host)))
	if ip != nil && (s.Network == "tcp4" && ip.To4() == nil || s.Network == "tcp6" && ip.To4() != nil) {
		return fmt.Errorf("%s is no address for %s: want tcp://%s", host, s.Network, s.Address)
	}
	s.Address = net.JoinHostPort(host, strconv.FormatUint(n, 10))
	return nil
}

// zone is the "%eth0" of a link-local address.
func zone(host string) string {
	if i := strings.IndexByte(host, '%'); i >= 0 {
		return host[i:]
	}
	return ""
}

// String is what Parse takes.
func (s Spec) String() string {
	text := s.Network + "://" + s.Address
	if s.Name != "" {
		text = s.Name + "=" + text
	}
	if s.ReusePort {
		text += ",reuseport"
	}
	if s.NonBlock {
		text += ",nonblock"
	}
	return text
}

// Check looks for names and addresses that are there twice. Port 0 is a new
// port each time.
func Check(specs []Spec) error {
	names, addresses := make(map[string]Spec), make(map[string]Spec)
	for _, s := range specs {
		if first, twice := names[s.Name]; twice && s.Name != "" {
			return fmt.Errorf("%s and %s have the same name: want one for each", first, s)
		}
		names[s.Name] = s
		for _, key := range s.keys() {
			if first, twice := addresses[key]; twice {
				return fmt.Errorf("%s and %s are the same address: want it once", first, s)
			}
			addresses[key] = s
		}
	}
	return nil
}

// keys are what a socket occupies: tcp://:80 is that of tcp4 and of tcp6.
func (s Spec) keys() []string {
	if s.Network == "unix" {
		return []string{path.Clean(s.Address)}
	}
	host, port, _ := net.SplitHostPort(s.Address)
	ip := net.ParseIP(host)
	v4, v6 := "4 0.0.0.0:"+port, "6 [::]:"+port
	switch {
	case port == "0":
		return nil
	case s.Network == "tcp" && (host == "" || ip.Equal(net.IPv6unspecified)):
		return []string{v4, v6}
	case s.Network == "tcp4" && host == "" || ip.Equal(net.IPv4zero):
		return []string{v4}
	case s.Network == "tcp6" && (host == "" || ip.Equal(net.IPv6unspecified)):
		return []string{v6}
	case ip != nil:
		return []string{net.JoinHostPort(ip.String(), port)}
	}
	return []string{s.Network + " " + net.JoinHostPort(strings.ToLower(host), port)}
}
