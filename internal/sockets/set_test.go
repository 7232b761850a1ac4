package sockets_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/sockets"
)

// open binds the specs and closes them with the test.
func open(t *testing.T, texts ...string) *sockets.Set {
	t.Helper()
	set, err := tryOpen(t, nil, texts...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func tryOpen(t *testing.T, inherited []sockets.InheritedSocket, texts ...string) (*sockets.Set, error) {
	t.Helper()
	var specs []sockets.Spec
	for _, text := range texts {
		specs = append(specs, parse(t, text))
	}
	set, err := sockets.Open(specs, inherited, nil)
	if err == nil {
		t.Cleanup(set.Close)
	}
	return set, err
}

// one returns the sockets of a slot, and closes them with the test.
func one(t *testing.T, set *sockets.Set, slot int) sockets.Sockets {
	t.Helper()
	s, err := set.For(slot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func bound(t *testing.T, fd int) unix.Sockaddr {
	t.Helper()
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func portOf(t *testing.T, fd int) string {
	t.Helper()
	switch at := bound(t, fd).(type) {
	case *unix.SockaddrInet4:
		return strconv.Itoa(at.Port)
	case *unix.SockaddrInet6:
		return strconv.Itoa(at.Port)
	}
	t.Fatal("it has no port")
	return ""
}

func intOption(t *testing.T, fd, level, option int) int {
	t.Helper()
	n, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
}

func TestASocketIsBlockingAndCloseOnExecAndListens(t *testing.T) {
	set := open(t, "tcp4://127.0.0.1:0", "unix://"+filepath.Join(t.TempDir(), "s"))
	for _, s := range one(t, set, 1) {
		status, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFL, 0)
		if err != nil || status&unix.O_NONBLOCK != 0 {
			t.Errorf("%s: status flags %#x, %v; want a blocking socket", s.Address, status, err)
		}
		flags, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: descriptor flags %#x, %v; want close-on-exec", s.Address, flags, err)
		}
		if intOption(t, s.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) != 1 {
			t.Errorf("%s does not listen", s.Address)
		}
	}
}

func TestASocketIsNonBlockingOnDemand(t *testing.T) {
	set := open(t, "tcp4://127.0.0.1:0,nonblock", "tcp4://127.0.0.1:0,nonblock,reuseport", "unix://"+filepath.Join(t.TempDir(), "s")+",nonblock")
	for _, slot := range []int{1, 2} {
		for _, s := range one(t, set, slot) {
			if status, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFL, 0); err != nil || status&unix.O_NONBLOCK == 0 {
				t.Errorf("slot %d, %s: status flags %#x, %v; want a non-blocking socket", slot, s.Address, status, err)
			}
		}
	}
}

func TestTheBacklogIsTheMostThatTheKernelAllows(t *testing.T) {
	s := one(t, open(t, "tcp4://127.0.0.1:0"), 1)[0]
	info, err := unix.GetsockoptTCPInfo(s.FD, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Skip("there is no somaxconn to compare with: ", err)
	}
	// Of a listening socket tcpi_sacked is the backlog.
	if want := strings.TrimSpace(string(text)); strconv.Itoa(int(info.Sacked)) != want {
		t.Errorf("the backlog is %d, want %s", info.Sacked, want)
	}
}

func TestAPortAloneIsThatOfBothFamilies(t *testing.T) {
	if !hasIPv6() {
		t.Skip("this kernel has no IPv6")
	}
	port := portOf(t, one(t, open(t, "tcp://:0"), 1)[0].FD)
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("over %s: %v", host, err)
			continue
		}
		_ = c.Close()
	}
	if s := one(t, open(t, "tcp6://:0"), 1)[0]; intOption(t, s.FD, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) != 1 {
		t.Error("tcp6:// takes IPv4 connections")
	}
	if _, ok := bound(t, one(t, open(t, "tcp4://:0"), 1)[0].FD).(*unix.SockaddrInet4); !ok {
		t.Error("tcp4:// is not IPv4")
	}
}

func TestAnAddressInUseIsAnErrorThatNamesIt(t *testing.T) {
	port := portOf(t, one(t, open(t, "tcp4://127.0.0.1:0"), 1)[0].FD)
	for _, suffix := range []string{"", ",reuseport"} {
		spec := "tcp4://127.0.0.1:" + port + suffix
		if _, err := tryOpen(t, nil, spec); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), spec) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestAllSlotsShareASocketUnlessEachIsToHaveItsOwn(t *testing.T) {
	set := open(t, "tcp4://127.0.0.1:0", "tcp4://127.0.0.1:0,reuseport")
	first, again, second := one(t, set, 1), one(t, set, 1), one(t, set, 2)
	if inode(t, first[0]) != inode(t, second[0]) {
		t.Error("two slots have different sockets without reuseport")
	}
	if inode(t, first[1]) == inode(t, second[1]) {
		t.Error("two slots have the same socket with reuseport")
	}
	if portOf(t, first[1].FD) != portOf(t, second[1].FD) {
		t.Error("with reuseport two slots have different ports")
	}
	if inode(t, first[1]) != inode(t, again[1]) {
		t.Error("the next worker of a slot has another socket: what waits in the queue is lost")
	}
	set.Retire(2)
	for _, s := range second {
		_ = unix.Close(s.FD)
	}
	second = nil
	if inode(t, one(t, set, 2)[0]) != inode(t, first[0]) {
		t.Error("a slot that came back has another shared socket")
	}
}

func inode(t *testing.T, s sockets.Socket) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(s.FD, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestARetiredSlotGetsNoMoreConnections(t *testing.T) {
	set := open(t, "tcp4://127.0.0.1:0,reuseport")
	stays, goes := one(t, set, 1), one(t, set, 2)
	goes.Close()
	set.Retire(2)
	address := "127.0.0.1:" + portOf(t, stays[0].FD)
	const n = 50
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	info, err := unix.GetsockoptTCPInfo(stays[0].FD, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	// Of a listening socket tcpi_unacked is the length of the queue.
	if info.Unacked != n {
		t.Errorf("%d of %d connections wait for the slot that stays", info.Unacked, n)
	}
}

func TestASocketThatIsPassedOutlivesClose(t *testing.T) {
	set := open(t, "tcp4://127.0.0.1:0")
	s := one(t, set, 1)
	address := "127.0.0.1:" + portOf(t, s[0].FD)
	set.Close()
	set.Close()
	if _, err := set.For(1); !errors.Is(err, sockets.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("while a start under way has it: %v", err)
	}
	_ = c.Close()
	_ = unix.Shutdown(s[0].FD, unix.SHUT_RDWR)
	if _, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("with no listener left: %v, want ECONNREFUSED", err)
	}
}

func TestAHostMayBeAName(t *testing.T) {
	s := one(t, open(t, "tcp://localhost:0"), 1)
	if c, err := net.Dial("tcp", "localhost:"+portOf(t, s[0].FD)); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
}

func TestThreeProtocolsTellAWorkerOfItsSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	set := open(t, "web=tcp4://127.0.0.1:0", "unix://"+path, "tcp4://:0", "tcp://0.0.0.0:0")
	s := one(t, set, 1)
	got := s.Environment()
	slices.Sort(got)
	want := []string{
		"EINHORN_FD_0=3", "EINHORN_FD_1=4", "EINHORN_FD_2=5", "EINHORN_FD_3=6", "EINHORN_FD_COUNT=4",
		"LISTEN_FDNAMES=web:unknown:unknown:unknown", "LISTEN_FDS=4",
		"SERVER_STARTER_PORT=127.0.0.1:" + portOf(t, s[0].FD) + "=3;" + path + "=4;" +
			portOf(t, s[2].FD) + "=5;0.0.0.0:" + portOf(t, s[3].FD) + "=6",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if set.Len() != 4 || len(sockets.Sockets(nil).Environment()) != 0 {
		t.Error("a worker without sockets is told of some")
	}
	left := sockets.Without(append(got, "LISTEN_PID=1", "LISTEN=x", "PATH=/bin"))
	if !slices.Equal(left, []string{"LISTEN=x", "PATH=/bin"}) {
		t.Errorf("without them: %q", left)
	}
}
