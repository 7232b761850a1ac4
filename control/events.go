package control

import (
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

// watchers are the clients that follow events. The engine reads the list
// without a lock; clients that come and go replace it.
type watchers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*watcher]
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

func (w *watchers) add() *watcher {
	one := &watcher{queue: make(chan happened, watchQueue)}
	w.change(func(list []*watcher) []*watcher { return append(list, one) })
	return one
}

func (w *watchers) remove(one *watcher) {
	w.change(func(list []*watcher) []*watcher {
		return slices.DeleteFunc(list, func(other *watcher) bool { return other == one })
	})
}

// events streams what happens, one JSON object per line, until the client or
// brood leaves.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	one := s.watchers.add()
	defer s.watchers.remove(one)
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	lines := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: s.source.Attr})
	write := func(at time.Time, level slog.Level, msg string, attrs []slog.Attr) bool {
		if flush.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return false
		}
		record := slog.NewRecord(at, level, msg, 0)
		record.AddAttrs(attrs...)
		return lines.Handle(r.Context(), record) == nil
	}
	if flush.Flush() != nil { // the client knows that it will miss nothing
		return
	}
	for {
		select {
		case h := <-one.queue:
			level, msg, attrs := s.source.Describe(h.ev)
			if !write(h.at, level, msg, attrs) {
				return
			}
			if n := one.dropped.Swap(0); n > 0 && !write(time.Now(), slog.LevelWarn, "events dropped", []slog.Attr{slog.Int64("events", n)}) {
				return
			}
			if len(one.queue) == 0 && flush.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
