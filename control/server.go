package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/httpd"
	"github.com/brood-init/brood/internal/proc"
)

// Bounds on clients: whoever is let in belongs to brood's user, and may still
// hang or be many.
const (
	maxClients  = 64
	maxWatchers = 48
	maxHeader   = 8 << 10
	longestPath = 107 // of sun_path in unix(7), without the final zero byte
)

// lookWithin is how long a status waits for the PID files to be read.
const lookWithin = 500 * time.Millisecond

// ErrInUse says that another process answers on the socket.
var ErrInUse = errors.New("another process answers there")

// Source is where the server gets its answers from. All functions are called
// from many goroutines.
type Source struct {
	Snapshot func() *fanout.Snapshot
	// Proc is where /proc is, proc.None where there is none to be believed.
	Proc proc.FS
	// Census is what slots leak, as fanout.Host.Census has it; nil when it is not
	// known.
	Census func(maxAge time.Duration) *fanout.Census
	// Look brings what the snapshot says of registered processes up to date.
	Look func(context.Context)
	// Serves returns nil when the brood should get requests.
	Serves func() error
	// Alive returns nil when the engine has answered.
	Alive func(context.Context) error
	// Reload, Scale and Stop ask the engine; answers are as fanout has them.
	Reload func(answer chan<- error)
	Scale  func(to fanout.Scale, answer chan<- fanout.ScaleResult)
	Stop   func()
	// Describe is the log line of an event.
	Describe Describe
	// Attr rewrites the attributes of such a line; see slog.HandlerOptions.
	Attr func(groups []string, a slog.Attr) slog.Attr
}

// Server answers on the socket.
type Server struct {
	source   Source
	watchers watchers
}

// NewServer returns a Server; it serves nobody yet, but takes in events.
func NewServer(source Source) *Server { return &Server{source: source, watchers: newWatchers()} }

// Observe is the server's fanout.Observer. It never blocks.
func (s *Server) Observe(at time.Time, ev fanout.Event) { s.watchers.tell(at, ev) }

// Listen makes the socket, mode 0600. A stale one is replaced; one on which
// somebody answers is ErrInUse.
func Listen(path string) (*net.UnixListener, error) {
	if len(path) > longestPath {
		return nil, fmt.Errorf("cannot listen on %q: a socket's path has at most %d bytes, this one has %d", path, longestPath, len(path))
	}
	address := &net.UnixAddr{Name: path, Net: "unix"}
	l, err := net.ListenUnix("unix", address)
	if errors.Is(err, unix.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		l, err = net.ListenUnix("unix", address)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", path, err)
	}
	// Until here others might connect, but not get through the check of peers.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot protect %q: %w", path, err), l.Close())
	}
	return l, nil
}

// Tidy removes the socket that a killed brood has left, before Listen would: one
// that nobody listens on. What else is there is left to Listen to complain of.
func Tidy(path string) {
	if _, err := os.Lstat(path); err == nil {
		_ = removeStale(path)
	}
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("cannot listen on %q: something that is no socket is there", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) { // a full queue has somebody behind it
		return fmt.Errorf("cannot listen on %q: %w", path, ErrInUse)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("cannot replace the stale socket %q: %w", path, err)
	}
	return nil
}

// Serve answers until stop is closed, which is when nothing more happens, then
// removes the socket. It waits for no client, but for 200 ms at most for those
// that follow events: the last ones say how it ended. Once stop was closed Serve
// cannot be called again. report is told of panics.
func (s *Server) Serve(l *net.UnixListener, stop <-chan struct{}, report func(error)) error {
	closing, returned := make(chan struct{}), make(chan struct{})
	defer close(returned)
	go func() {
		select {
		case <-stop:
			s.watchers.finish()
			close(closing)
		case <-returned:
		}
	}()
	// No bound on an answer: events are followed for as long as one likes, and
	// bound their own writes.
	bounds := httpd.Options{Connections: maxClients, Header: maxHeader, WriteTimeout: -1, Report: report}
	return httpd.Serve(&known{UnixListener: l, uid: os.Geteuid()}, s.handler(), bounds, closing)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), lookWithin)
		s.source.Look(ctx)
		cancel()
		w.Header().Set("Content-Type", "application/json")
		status := statusOf(s.source.Snapshot(), s.source.Serves(), s.source.Proc, time.Now())
		status.addLeaks(s.source.Census(time.Second))
		_ = json.NewEncoder(w).Encode(status) // the client is gone
	})
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("POST /v1/scale", s.scale)
	mux.HandleFunc("POST /v1/stop", s.stop)
	mux.HandleFunc("GET /readyz", Readyz(s.source.Serves))
	mux.HandleFunc("GET /livez", Livez(s.source.Alive))
	return mux
}

// known lets in only peers of our own user and root.
type known struct {
	*net.UnixListener
	uid int
}

// Accept implements net.Listener.
func (k *known) Accept() (net.Conn, error) {
	for {
		conn, err := k.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(conn); err == nil && (uid == 0 || uid == k.uid) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// peer is the user at the other end, as of its connect(2): unix(7),
// SO_PEERCRED.
func peer(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); controlErr != nil {
		return 0, controlErr
	}
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
