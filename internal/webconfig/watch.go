//go:build webconfig

package webconfig

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// lookAgain is how often at most a file is checked as a whole, to tell of it.
const lookAgain = 10 * time.Second

// watch tells when a file turns bad, looked at when clients come and never
// otherwise. The toolkit itself would tell of every request.
type watch struct {
	path   string
	report func(error)

	mu      sync.Mutex
	looking bool
	looked  time.Time
	told    string // the last trouble; empty for none
}

// glance begins a look at the file, if the last one was long ago.
func (w *watch) glance() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looking || time.Since(w.looked) < lookAgain {
		return
	}
	w.looking = true
	go w.look()
}

func (w *watch) look() {
	err := Check(w.path)
	w.mu.Lock()
	now, before := "", w.told
	if err != nil {
		now = err.Error()
	}
	w.looking, w.looked, w.told = false, time.Now(), now
	w.mu.Unlock()
	if err != nil && now != before {
		w.report(err)
	}
}

// guard keeps the toolkit from reading what has no end.
func (w *watch) guard(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.glance()
		if readable(w.path) != nil {
			http.Error(rw, "the web configuration cannot be read", http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(rw, r)
	})
}

// watched is a listener that looks at the file first: a handshake reads it too.
type watched struct {
	net.Listener
	watch *watch
}

// Accept implements net.Listener.
func (l *watched) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.watch.glance()
		if readable(l.watch.path) == nil {
			return conn, nil
		}
		_ = conn.Close()
	}
}
