package httpd

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// nobody is a connection that was closed or not.
type nobody struct {
	net.Conn
	from   net.Addr
	closed bool
}

func (n *nobody) RemoteAddr() net.Addr { return n.from }
func (n *nobody) Close() error         { n.closed = true; return nil }

func from(address string) *nobody {
	return &nobody{from: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))}
}

func TestACrowdFromOneAddressCrowdsOutItself(t *testing.T) {
	p := newPlaces(4)
	probe := from("10.0.0.1:1")
	p.admit(probe) // the oldest of all
	var crowd []*nobody
	for range 100 {
		one := from("10.0.0.2:1")
		crowd = append(crowd, one)
		p.admit(one)
	}
	if probe.closed {
		t.Error("the only connection of another address had to leave")
	}
	for i, one := range crowd {
		if last := i >= len(crowd)-3; one.closed == last {
			t.Errorf("connection %d of 100: closed is %v", i, one.closed)
		}
	}
	if len(p.taken) != 4 {
		t.Errorf("%d of 4 places are taken", len(p.taken))
	}
}

func TestWhoIsBeingAnsweredHasNoMoreThanHalfForGood(t *testing.T) {
	p := newPlaces(4)
	for range 3 {
		p.asked(p.admit(from("10.0.0.1:1")))
	}
	probe := from("10.0.0.1:2")
	p.admit(probe)
	p.admit(from("10.0.0.1:3"))
	if probe.closed || p.asking != 2 {
		t.Errorf("the probe had to leave: %v, and %d of 4 are being answered", probe.closed, p.asking)
	}
	for range 100 {
		p.admit(from("10.0.0.1:4"))
	}
	if !probe.closed || p.asking != 2 {
		t.Errorf("the probe had to leave at last: %v, and %d of 4 are being answered", probe.closed, p.asking)
	}
	for len(p.taken) > 0 {
		_ = p.taken[0].Close()
	}
	if p.asking != 0 || len(p.crowds) != 0 {
		t.Errorf("when all are gone %d are being answered, of %d crowds", p.asking, len(p.crowds))
	}
}

func TestANewcomerHasHisTimeBeforeTheNextIsLetIn(t *testing.T) {
	p := newPlaces(2)
	first := p.admit(from("10.0.0.1:1"))
	if wait := p.early(first.since); wait != 0 {
		t.Errorf("with a free place a newcomer waits for %s", wait)
	}
	p.admit(from("10.0.0.1:2"))
	if wait := p.early(first.since); wait != patience {
		t.Errorf("the next waits for %s, want %s", wait, patience)
	}
	if wait := p.early(first.since.Add(time.Minute)); wait > 0 {
		t.Errorf("a minute later he waits for %s", wait)
	}
	p.asked(first)
	p.answered(first) // now the other one is the oldest
	if out := p.choose(); out == first || p.early(out.since) != patience {
		t.Errorf("who has been answered is put out before who has waited for longer")
	}
}

func TestAPlaceIsGivenBackOnce(t *testing.T) {
	p := newPlaces(1)
	first := p.admit(from("10.0.0.1:1"))
	second := from("10.0.0.1:2")
	p.admit(second)
	_ = first.Close() // it had been put out before
	if len(p.taken) != 1 || second.closed {
		t.Errorf("%d of 1 place taken, the second closed: %v", len(p.taken), second.closed)
	}
	if _ = p.taken[0].Close(); len(p.taken) != 0 || len(p.crowds) != 0 {
		t.Errorf("when all are gone %d places are taken by %d crowds", len(p.taken), len(p.crowds))
	}
}

func TestWhoCountsAsOneClient(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1:1", "10.0.0.1:2", true},
		{"10.0.0.1:1", "10.0.0.2:1", false},
		{"10.0.0.1:1", "[::ffff:10.0.0.1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"[fe80::1%lo]:1", "[fe80::2]:1", true},
	} {
		if got := remote(from(c.a).from) == remote(from(c.b).from); got != c.same {
			t.Errorf("%s and %s count as one: %v", c.a, c.b, got)
		}
	}
	unix := &net.UnixAddr{Name: "@", Net: "unix"}
	if remote(unix) != remote(&net.UnixAddr{}) {
		t.Error("clients of a unix socket are told apart")
	}
}

func BenchmarkAFullListenerAdmits(b *testing.B) {
	p := newPlaces(256)
	conn := from("10.0.0.1:1")
	for b.Loop() {
		p.admit(conn)
	}
}

func TestOneAddressHasAQuarterOfTheGate(t *testing.T) {
	g := &gate{most: 4, mostOfOne: 1, of: make(map[netip.Addr]int)}
	enter := func(address string, want bool) {
		t.Helper()
		if got := g.enter(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s gets in: %v", address, got)
		}
	}
	enter("10.0.0.1", true)
	enter("10.0.0.1", false)
	enter("10.0.0.2", true)
	enter("10.0.0.3", true)
	enter("10.0.0.4", true)
	enter("10.0.0.5", false)
	g.leave(netip.MustParseAddr("10.0.0.1"))
	enter("10.0.0.5", true)
	enter("10.0.0.1", false)
	if len(g.of) != 4 {
		t.Errorf("%d addresses are remembered, want the 4 that are inside", len(g.of))
	}
}
