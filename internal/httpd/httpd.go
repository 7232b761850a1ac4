// Package httpd serves HTTP from inside a process that must not suffer from it:
// connections, header sizes and times are bounded, and a panic in a handler is
// reported instead of ending anything.
package httpd

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound what clients can take. The zero value of a field is its default.
type Limits struct {
	Connections  int           // at once, 256; more are closed unanswered
	Header       int           // bytes, 16 KiB
	ReadTimeout  time.Duration // for a whole request, 5 s
	WriteTimeout time.Duration // for a whole answer, 30 s; negative is none
	IdleTimeout  time.Duration // between requests, 60 s
}

func (l Limits) withDefaults() Limits {
	if l.Connections == 0 {
		l.Connections = 256
	}
	l.Connections = min(l.Connections, affordable())
	if l.Header == 0 {
		l.Header = 16 << 10
	}
	if l.ReadTimeout == 0 {
		l.ReadTimeout = 5 * time.Second
	}
	if l.WriteTimeout == 0 {
		l.WriteTimeout = 30 * time.Second
	}
	if l.IdleTimeout == 0 {
		l.IdleTimeout = time.Minute
	}
	return l
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
// waits for no client. report, if set, is told of panics, with their stack.
func Serve(l net.Listener, handler http.Handler, limits Limits, stop <-chan struct{}, report func(error)) error {
	limits = limits.withDefaults()
	server := &http.Server{
		Handler:        recovering(handler, report),
		ReadTimeout:    limits.ReadTimeout,
		WriteTimeout:   max(0, limits.WriteTimeout),
		IdleTimeout:    limits.IdleTimeout,
		MaxHeaderBytes: limits.Header,
	}
	server.ErrorLog = silent()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-stop:
			_ = server.Close()
		case <-done:
		}
	}()
	err := server.Serve(&bounded{Listener: l, room: make(chan struct{}, limits.Connections)})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func recovering(handler http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil || v == http.ErrAbortHandler { //nolint:errorlint // a recovered value, compared as net/http does
				return
			}
			if report != nil {
				report(fmt.Errorf("cannot answer %q: internal error: %v\n%s", r.URL.Path, v, debug.Stack()))
			}
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		handler.ServeHTTP(w, r)
	})
}

// bounded closes connections for which there is no room.
type bounded struct {
	net.Listener
	room chan struct{}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.room <- struct{}{}:
			return &guest{Conn: conn, leave: b.room}, nil
		default:
			_ = conn.Close()
		}
	}
}

// guest is a connection that gives its room back when it is closed.
type guest struct {
	net.Conn
	leave <-chan struct{}
	once  sync.Once
}

// Close implements net.Conn.
func (g *guest) Close() error {
	err := g.Conn.Close()
	g.once.Do(func() { <-g.leave })
	return err
}
