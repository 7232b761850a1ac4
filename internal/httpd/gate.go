package httpd

import (
	"net/http"
	"net/netip"
	"sync"
)

// gate counts the requests that are worked on. It is not the same as counting
// connections: a handler that waits for a lock goes on waiting when its client
// has been put out, and a newcomer would have a handler of his own.
type gate struct {
	most, mostOfOne int

	mu  sync.Mutex
	all int
	of  map[netip.Addr]int
}

// gated refuses requests beyond a bound, and beyond a quarter of it those of
// one remote address. 0 is no bound.
func gated(handler http.Handler, most int) http.Handler {
	if most == 0 {
		return handler
	}
	g := &gate{most: most, mostOfOne: max(1, most/4), of: make(map[netip.Addr]int)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var from netip.Addr
		if guest, ok := r.Context().Value(guestKey{}).(*guest); ok {
			from = guest.remote
		}
		if !g.enter(from) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests are under way", http.StatusServiceUnavailable)
			return
		}
		defer g.leave(from)
		handler.ServeHTTP(w, r)
	})
}

func (g *gate) enter(from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.most || g.of[from] >= g.mostOfOne {
		return false
	}
	g.all++
	g.of[from]++
	return true
}

func (g *gate) leave(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.of[from]--; g.of[from] == 0 {
		delete(g.of, from)
	}
}
