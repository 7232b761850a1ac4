// Package httpd serves HTTP from inside a process that must not suffer from it:
// connections, header sizes and times are bounded, and a panic in a handler is
// reported instead of ending anything.
//
// # Who has to leave
//
// A listener has so many places. Turning newcomers away when all are taken
// would hand the listener to whoever comes first and says nothing: a few hundred
// half-open connections, and no probe gets through for seconds. So it is the
// other way round: everybody is let in, and when that is one too many, somebody
// else has to leave. See places.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Options bound what clients can take. The zero value of a field is its default.
type Options struct {
	Connections  int           // at once, 256
	Header       int           // bytes, 16 KiB
	ReadTimeout  time.Duration // for a whole request, 5 s
	WriteTimeout time.Duration // for a whole answer, 30 s; negative is none
	IdleTimeout  time.Duration // between requests, 60 s
	// Requests bounds those that are worked on at once, and a quarter of it
	// those of one remote address; more are refused. 0 is no bound but Connections.
	Requests int
	// Report is told of panics, with their stack.
	Report func(error)
	// Through serves in the place of (*http.Server).Serve, by TLS for example. It
	// may wrap the server's handler; what bounds clients stays around that.
	Through func(*http.Server, net.Listener) error
}

func (o Options) withDefaults() Options {
	if o.Connections == 0 {
		o.Connections = 256
	}
	o.Connections = min(o.Connections, affordable())
	if o.Header == 0 {
		o.Header = 16 << 10
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 5 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Minute
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Through == nil {
		o.Through = (*http.Server).Serve
	}
	return o
}

// affordable is how many connections a listener may have: a quarter of the
// descriptors, so that workers and hooks can be started whatever clients do.
func affordable() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<20 {
		return math.MaxInt
	}
	return max(1, int(limit.Cur)/4)
}

// Serve answers on l until stop is closed or accepting fails, and closes l. It
// waits for no client.
func Serve(l net.Listener, handler http.Handler, o Options, stop <-chan struct{}) error {
	o = o.withDefaults()
	server := &http.Server{
		Handler:        handler,
		ReadTimeout:    o.ReadTimeout,
		WriteTimeout:   max(0, o.WriteTimeout),
		IdleTimeout:    o.IdleTimeout,
		MaxHeaderBytes: o.Header,
		ConnContext:    withGuest,
		// One request at a time on a connection: what is bounded by connections
		// would not be with the streams of HTTP/2, which TLS would switch on.
		Protocols: new(http.Protocols),
		ErrorLog:  silent(),
	}
	// Called before the first connection is accepted, after Through has wrapped
	// the handler.
	server.BaseContext = func(net.Listener) context.Context {
		server.Handler = answering(gated(recovering(server.Handler, o.Report), o.Requests))
		return context.Background()
	}
	server.Protocols.SetHTTP1(true)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-stop:
			_ = server.Close()
		case <-done:
		}
	}()
	err := o.Through(server, &admitting{Listener: l, places: newPlaces(o.Connections)})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return errors.Join(err, closed(l))
}

// closed closes a listener that may be closed already.
func closed(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func recovering(handler http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil || v == http.ErrAbortHandler { //nolint:errorlint // a recovered value, compared as net/http does
				return
			}
			report(fmt.Errorf("cannot answer %q: internal error: %v\n%s", r.URL.Path, v, debug.Stack()))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		handler.ServeHTTP(w, r)
	})
}

// guestKey is the context's key for the guest that a request comes from.
type guestKey struct{}

// withGuest is a (http.Server).ConnContext.
func withGuest(ctx context.Context, conn net.Conn) context.Context {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok { // by crypto/tls
		conn = wrapped.NetConn()
	}
	if g, ok := conn.(*guest); ok {
		return context.WithValue(ctx, guestKey{}, g)
	}
	return ctx
}

// answering tells the places who is being answered.
func answering(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
			g.places.asked(g)
			defer g.places.answered(g)
		}
		handler.ServeHTTP(w, r)
	})
}
