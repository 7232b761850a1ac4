package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Address is one at which nobody listens, for the test alone.
func Address(t testing.TB) string {
	t.Helper()
	return fmt.Sprint("127.0.0.1:", Ports(t, 1))
}

// Ports are n in a row on which nobody listens, for the test alone: below those
// that the kernel itself gives to whoever listens on port 0 or connects, and
// reserved among all tests that run at the same time.
func Ports(t testing.TB, n int) (first int) {
	t.Helper()
	const lowest = 10000
	above := 0
	_, _ = fmt.Sscan(Content("/proc/sys/net/ipv4/ip_local_port_range"), &above)
	if above < lowest+2*n {
		t.Fatalf("the kernel gives away all ports from %d on", above)
	}
	for range 1000 {
		first = lowest + rand.N(above-lowest-n)
		if reserve(t, first, n) {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// reserve keeps other tests from ports by sockets of those names, which the
// kernel takes away with whoever has made them.
func reserve(t testing.TB, first, n int) bool {
	t.Helper()
	var names []net.Listener
	release := func() {
		for _, l := range names {
			_ = l.Close()
		}
	}
	for port := first; port < first+n; port++ {
		name, err := net.Listen("unix", "@brood-test-port-"+strconv.Itoa(port))
		if err != nil {
			release()
			return false
		}
		names = append(names, name)
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			release()
			return false
		}
		_ = l.Close()
	}
	t.Cleanup(release)
	return true
}
