package metrics

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/brood-init/brood/metrics/merge"
	"github.com/brood-init/brood/metrics/scraping"
)

// HandlerOptions configures Handler. The zero value is useful.
type HandlerOptions struct {
	// Table counts the requests; nil counts nothing.
	Table *Table
	// Panicked is told of a panic in gathering or encoding, from a goroutine of
	// its own. It must not block for long.
	Panicked func(value any, stack []byte)
	// Workers asks the workers for their own pages; nil asks nobody.
	Workers *scraping.Scraper
	// Timeout bounds a request from its arrival until its page is complete; 0
	// is 5 s. A scraper that says it has less is believed.
	Timeout time.Duration
	// InFlight is how many requests may be under way, 0 is 8. Each may hold a
	// page in memory for as long as its client takes, WriteTimeout at most.
	InFlight int
	// WriteTimeout bounds the time that a client takes for its page; 0 is 10 s.
	WriteTimeout time.Duration
}

// handler serves pages. Three things keep it harmless:
//
//   - One page at a time is gathered and encoded, into memory. Whoever waits for
//     it gives up at its deadline, even if gathering never ends.
//   - The page is written to the client afterwards, when nothing is held any
//     more but one of a few places.
//   - A panic is an answer with code 500.
//
// Workers are asked before that, and only for part of the time that there is: one
// that hangs keeps nobody from brood's own figures.
type handler struct {
	pages  *exposition
	o      HandlerOptions
	turn   chan struct{} // held while a page is made
	places chan struct{} // held for the whole of a request
	pool   pagePool
}

// Handler serves the gatherer's page in the text, OpenMetrics and protobuf
// formats, plain or by gzip, as the client asks for. What cannot be gathered is
// missing on the page.
func Handler(g prometheus.TransactionalGatherer, o HandlerOptions) http.Handler {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.InFlight <= 0 {
		o.InFlight = 8
	}
	if o.Panicked == nil {
		o.Panicked = func(any, []byte) {}
	}
	return &handler{
		pages:  newExposition(g),
		o:      o,
		turn:   make(chan struct{}, 1),
		places: make(chan struct{}, o.InFlight),
	}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		h.refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are served here")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout(r.Header))
	defer cancel()
	if !take(ctx, h.places) {
		h.refuse(w, http.StatusServiceUnavailable, "too many requests are under way")
		return
	}
	defer func() { <-h.places }()
	want := wantedBy(r)
	workers, err := h.collect(ctx, want)
	if err != nil {
		h.refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	p, err := h.page(ctx, r, want, workers)
	if err != nil {
		code := http.StatusServiceUnavailable
		if p != nil {
			code = http.StatusInternalServerError
		}
		h.refuse(w, code, err.Error())
		return
	}
	h.count(p.code)
	// The writer of a test or of a middleware may not know deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.o.WriteTimeout))
	p.send(w)
	h.pool.put(p)
}

// collect gets the workers' part of the page.
func (h *handler) collect(ctx context.Context, want wanted) (scraping.Collection, error) {
	style, ok := merge.StyleOf(string(want.format))
	if h.o.Workers == nil || !ok {
		return scraping.Collection{}, nil
	}
	return h.o.Workers.Collect(ctx, style, want.only)
}

// page makes a page, or returns why there is none: with a page in hand that it
// broke, without one that it was not there in time. What is not there in time is
// left to its goroutine, of which there is one at most.
func (h *handler) page(ctx context.Context, r *http.Request, want wanted, workers scraping.Collection) (*page, error) {
	if !take(ctx, h.turn) {
		workers.Release()
		return nil, fmt.Errorf("cannot make a page in time: another one is being made")
	}
	p := h.pool.get()
	broken := make(chan error, 1)
	go func() {
		defer func() { <-h.turn }()
		defer workers.Release()
		broken <- h.encode(p, r, want, workers.Page)
	}()
	select {
	case err := <-broken:
		return p, err
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot make a page in time: %w", ctx.Err())
	}
}

func (h *handler) encode(p *page, r *http.Request, want wanted, workers []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("cannot make a page: internal error")
			h.o.Panicked(v, debug.Stack())
		}
	}()
	h.pages.answer(p, r, want, workers)
	return nil
}

// refuse says why there is no page. Nothing of it comes from the request.
func (h *handler) refuse(w http.ResponseWriter, code int, why string) {
	h.count(code)
	http.Error(w, why, code)
}

func (h *handler) count(code int) {
	if h.o.Table != nil {
		h.o.Table.answeredWith(code)
	}
}

// take waits for room in a channel.
func take(ctx context.Context, room chan<- struct{}) bool {
	select {
	case room <- struct{}{}:
		return true
	default:
	}
	select {
	case room <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// timeout is what the client leaves of ours. Prometheus says how long it will
// wait; half a second of that, or half of it, is for the way.
func (h *handler) timeout(header http.Header) time.Duration {
	const way = 0.5
	seconds, err := strconv.ParseFloat(header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(seconds > 0) || seconds > h.o.Timeout.Seconds()+way {
		return h.o.Timeout
	}
	return min(h.o.Timeout, time.Duration(max(seconds-way, seconds/2)*float64(time.Second)))
}
