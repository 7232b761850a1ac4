package control

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brood-init/brood/fanout"
)

// Describe is the log line of an event.
type Describe func(fanout.Event) (slog.Level, string, []slog.Attr)

// watchQueue is how far a watcher may fall behind.
const watchQueue = 1024

// writeTimeout ends a watcher that does not read.
const writeTimeout = 10 * time.Second

// lastWords is how long watchers have, when nothing more will happen, to take in
// what has happened.
const lastWords = 200 * time.Millisecond

// watchers are the clients that follow events. The engine reads the list
// without a lock; clients that come and go replace it.
type watchers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*watcher]
	over chan struct{} // closed when nothing more will happen
	gone chan struct{} // closed when nobody is left after that
}

func newWatchers() watchers {
	return watchers{over: make(chan struct{}), gone: make(chan struct{})}
}

// finish tells all watchers that nothing more will happen, and waits until they
// have got what has, at most for lastWords.
func (w *watchers) finish() {
	w.change(func(list []*watcher) []*watcher {
		close(w.over)
		if len(list) == 0 {
			close(w.gone)
		}
		return list
	})
	select {
	case <-w.gone:
	case <-time.After(lastWords):
	}
}

type watcher struct {
	queue   chan happened
	dropped atomic.Int64
}

type happened struct {
	at time.Time
	ev fanout.Event
}

// tell passes an event on to everybody who has room for it.
func (w *watchers) tell(at time.Time, ev fanout.Event) {
	list := w.list.Load()
	if list == nil {
		return
	}
	for _, one := range *list {
		select {
		case one.queue <- happened{at, ev}:
		default:
			one.dropped.Add(1)
		}
	}
}

func (w *watchers) change(change func([]*watcher) []*watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*watcher
	if old := w.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	w.list.Store(&list)
}

// add returns nil when most are there already: some room is for those who ask for
// something.
func (w *watchers) add(most int) *watcher {
	one := &watcher{queue: make(chan happened, watchQueue)}
	w.change(func(list []*watcher) []*watcher {
		if len(list) >= most {
			one = nil
			return list
		}
		return append(list, one)
	})
	return one
}

func (w *watchers) remove(one *watcher) {
	w.change(func(list []*watcher) []*watcher {
		list = slices.DeleteFunc(list, func(other *watcher) bool { return other == one })
		if len(list) == 0 && isClosed(w.over) && !isClosed(w.gone) {
			close(w.gone)
		}
		return list
	})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// events streams what happens, one JSON object per line, until the client or
// brood leaves.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, nil, nil)
}

// stream writes events until the client leaves or the answer is there, which is
// the last line then. ask is called once nothing can be missed any more.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, ask func(), answer <-chan error) {
	most := maxWatchers
	if ask != nil {
		most = maxClients
	}
	one := s.watchers.add(most)
	if one == nil {
		http.Error(w, "too many clients follow the events", http.StatusServiceUnavailable)
		return
	}
	defer s.watchers.remove(one)
	out := newLines(w, s.source.Attr)
	if !out.flush() {
		return
	}
	if ask != nil {
		ask()
	}
	for {
		select {
		case h := <-one.queue:
			if !s.tell(out, one, h) {
				return
			}
		case err := <-answer:
			if s.tellRest(out, one) {
				out.result(resultOf(err))
			}
			return
		case <-s.watchers.over:
			s.tellRest(out, one)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// tellRest writes what is in the queue.
func (s *Server) tellRest(out *lines, from *watcher) bool {
	for len(from.queue) > 0 {
		if !s.tell(out, from, <-from.queue) {
			return false
		}
	}
	return true
}

// tell writes one event, and how many were lost before it.
func (s *Server) tell(out *lines, from *watcher, h happened) bool {
	level, msg, attrs := s.source.Describe(h.ev)
	if !out.event(h.at, level, msg, attrs) {
		return false
	}
	if n := from.dropped.Swap(0); n > 0 && !out.event(time.Now(), slog.LevelWarn, "events dropped", []slog.Attr{slog.Int64("events", n)}) {
		return false
	}
	return len(from.queue) > 0 || out.flush()
}

// lines writes to a client that may not read: each write has its time.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	log     *slog.JSONHandler
}

func newLines(w http.ResponseWriter, attr func([]string, slog.Attr) slog.Attr) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &lines{w, http.NewResponseController(w), slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: attr})}
}

func (l *lines) inTime() bool {
	return l.control.SetWriteDeadline(time.Now().Add(writeTimeout)) == nil
}

func (l *lines) flush() bool { return l.inTime() && l.control.Flush() == nil }

func (l *lines) event(at time.Time, level slog.Level, msg string, attrs []slog.Attr) bool {
	record := slog.NewRecord(at, level, msg, 0)
	record.AddAttrs(attrs...)
	return l.inTime() && l.log.Handle(context.Background(), record) == nil
}

func (l *lines) result(r Result) {
	if l.inTime() {
		_ = json.NewEncoder(l.w).Encode(r) // the client is gone
	}
}
