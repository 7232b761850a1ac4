package service

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServeHTTP serves on l until ctx ends and then lets what has arrived be
// answered, so that a reload loses no request: those that wait on a shared
// socket are the other workers'. It returns nil after that, or why server could
// not serve. It uses the Handler, ConnState and ConnContext of server, which
// must not be used elsewhere.
//
//	func serve(ctx context.Context, w service.Worker) error {
//		l, err := service.ListenerNamed("web")
//		if err != nil {
//			return err
//		}
//		return service.ServeHTTP(ctx, &http.Server{Handler: pages}, l)
//	}
//
// Server.Shutdown alone closes connections that it has accepted without having
// read their request. A connection on which nothing arrives for five seconds is
// closed.
func ServeHTTP(ctx context.Context, server *http.Server, l net.Listener) error {
	fresh := watchFresh(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	_ = l.Close() // it can only have been closed before
	// When Serve has returned, fresh has all that was accepted.
	if err := <-served; !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	fresh.wait(silence)
	return server.Shutdown(context.Background()) // the stop budget bounds it
}

// silence is how long net/http waits for a connection to say something.
const silence = 5 * time.Second

// freshConns are the connections whose first request has not come to the
// handler yet.
type freshConns struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	none  chan struct{} // closed once somebody waits and there is none
}

type connKey struct{}

func watchFresh(server *http.Server) *freshConns {
	f := &freshConns{conns: make(map[net.Conn]bool)}
	state, connContext, handler := server.ConnState, server.ConnContext, server.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	server.ConnState = func(c net.Conn, now http.ConnState) {
		switch now {
		case http.StateNew:
			f.add(c)
		case http.StateClosed, http.StateHijacked:
			f.done(c)
		}
		if state != nil {
			state(c, now)
		}
	}
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			f.done(c)
		}
		handler.ServeHTTP(w, r)
	})
	return f
}

func (f *freshConns) add(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[c] = true
}

func (f *freshConns) done(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	if len(f.conns) == 0 && f.none != nil {
		close(f.none)
		f.none = nil
	}
}

func (f *freshConns) wait(most time.Duration) {
	f.mu.Lock()
	if len(f.conns) == 0 {
		f.mu.Unlock()
		return
	}
	none := make(chan struct{})
	f.none = none
	f.mu.Unlock()
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-none:
	case <-late.C:
	}
}
