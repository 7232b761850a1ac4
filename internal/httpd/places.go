package httpd

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// places are the connections of a listener. When one more comes than there is
// room for, somebody else is put out:
//
//   - whoever has not said yet what he wants: a request that is on its way takes
//     no time, and a client that is put out between two requests comes again
//     without anybody noticing. Only if those who are being answered have taken
//     more than half of all places, one of them;
//   - of these, a client of the remote address that has the most of them, so that
//     a crowd from one address crowds out itself and not a probe;
//   - of its connections the one that has taken the longest.
//
// A newcomer therefore has as long to say what he wants as it takes to fill half
// of all places anew, and never less than patience: then the others wait in the
// kernel's queue, where they cost nothing.
type places struct {
	most int

	mu     sync.Mutex
	taken  []*guest // in no order
	asking int      // how many of them are being answered
	crowds map[netip.Addr]*crowd
}

// patience is how long a newcomer has at least. Half of 256 places make 2,500
// newcomers a second of it; of 500 who say nothing the last is let in after 0.1 s.
const patience = 50 * time.Millisecond

// crowd are the connections of one remote address.
type crowd struct{ waiting, asked int }

// guest is a connection that gives its place back when it is closed.
type guest struct {
	net.Conn
	places *places
	remote netip.Addr

	// Guarded by places.mu.
	place int // in taken; -1 for none any more
	crowd *crowd
	since time.Time // the connection, the last request or its answer
	asked bool      // it is being answered
	fresh bool      // it has never asked
}

func newPlaces(most int) *places {
	return &places{most: most, crowds: make(map[netip.Addr]*crowd)}
}

// admit gives a connection a place, and closes another one if there is none.
func (p *places) admit(conn net.Conn) *guest {
	g := &guest{Conn: conn, places: p, remote: remote(conn.RemoteAddr()), since: time.Now(), fresh: true}
	p.mu.Lock()
	var out *guest
	if len(p.taken) >= p.most {
		out = p.choose()
		p.remove(out)
	}
	p.add(g)
	p.mu.Unlock()
	if out != nil {
		_ = out.Conn.Close()
	}
	return g
}

// early is how long the next newcomer has to wait, so that whoever has to leave
// for him has had his time.
func (p *places) early(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) < p.most {
		return 0
	}
	if out := p.choose(); out.fresh {
		return patience - now.Sub(out.since)
	}
	return 0
}

// choose is who has to leave.
func (p *places) choose() (out *guest) {
	asked := p.asking > p.most/2 || p.asking == len(p.taken)
	for _, g := range p.taken {
		if g.asked == asked && (out == nil || g.leavesBefore(out)) {
			out = g
		}
	}
	return out
}

// leavesBefore compares two guests who are both being answered, or both not.
func (g *guest) leavesBefore(other *guest) bool {
	if mine, its := g.crowd.of(g.asked), other.crowd.of(g.asked); *mine != *its {
		return *mine > *its
	}
	return g.since.Before(other.since)
}

// of is how many of the crowd are being answered, or are not.
func (c *crowd) of(asked bool) *int {
	if asked {
		return &c.asked
	}
	return &c.waiting
}

func (p *places) add(g *guest) {
	g.place = len(p.taken)
	p.taken = append(p.taken, g)
	g.crowd = p.crowds[g.remote]
	if g.crowd == nil {
		g.crowd = new(crowd)
		p.crowds[g.remote] = g.crowd
	}
	*g.crowd.of(g.asked)++
}

// remove takes away a guest's place, if it still has one.
func (p *places) remove(g *guest) {
	if g.place < 0 {
		return
	}
	last := len(p.taken) - 1
	p.taken[g.place], p.taken[last].place = p.taken[last], g.place
	p.taken[last] = nil
	p.taken = p.taken[:last]
	g.place = -1
	*g.crowd.of(g.asked)--
	if g.asked {
		p.asking--
	}
	if *g.crowd == (crowd{}) {
		delete(p.crowds, g.remote)
	}
}

func (p *places) asked(g *guest) { p.change(g, true) }

func (p *places) answered(g *guest) { p.change(g, false) }

func (p *places) change(g *guest, asked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.place >= 0 && g.asked != asked {
		*g.crowd.of(g.asked)--
		*g.crowd.of(asked)++
		if asked {
			p.asking++
		} else {
			p.asking--
		}
	}
	g.asked, g.since, g.fresh = asked, time.Now(), false
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.places.mu.Lock()
	g.places.remove(g)
	g.places.mu.Unlock()
	return g.Conn.Close()
}

// remote is what counts as one client: an address, and with IPv6, where anybody
// has as many as he likes, its network.
func remote(address net.Addr) netip.Addr {
	tcp, ok := address.(*net.TCPAddr)
	if !ok { // a unix socket: all are the same
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if network, err := ip.Prefix(64); err == nil && ip.Is6() {
		return network.Addr()
	}
	return ip
}

// admitting is a listener whose connections have places.
type admitting struct {
	net.Listener
	places *places
}

// Accept implements net.Listener.
func (a *admitting) Accept() (net.Conn, error) {
	conn, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if wait := a.places.early(time.Now()); wait > 0 {
		time.Sleep(wait)
	}
	return a.places.admit(conn), nil
}
