package statuspage

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/brood-init/brood/fanout"
)

// Figures is what a slot has used and uses.
type Figures struct {
	Slot       int
	CPUSeconds float64 // of all processes that the slot has had; never falls
	Resident   uint64  // bytes; 0 without a process
	Restarts   uint64
}

// Source is where a Page gets what it shows. All functions are called from
// many goroutines; none may be nil.
type Source struct {
	Snapshot func() *fanout.Snapshot
	// Figures reads what the slots use now, in the order of their numbers.
	Figures func() []Figures
	// Serves returns nil when the brood should get requests.
	Serves func() error
	// Reason is why there are as many workers as at the start:
	// "processes=3 source=cgroup quota=2.5 affinity=64".
	Reason  string
	Version string
}

// Page is the page, and what it has to remember for it.
type Page struct {
	source  Source
	memory  memory
	history history
	places  chan struct{}
	policy  func() string // made once, when it is first needed
}

// New returns a page. It is cheap.
func New(source Source) *Page {
	return &Page{
		source: source, memory: memory{reason: source.Reason},
		places: make(chan struct{}, makers), policy: sync.OnceValue(policy),
	}
}

const (
	// makers is how many pages are made at once: each reads about all workers.
	makers = 4
	// refresh and refreshMany are the seconds between two looks of the script.
	refresh, refreshMany = 2, 10
)

// Observe is the page's fanout.Observer: a fold that works in memory.
func (p *Page) Observe(at time.Time, ev fanout.Event) { p.memory.observe(at, ev) }

// Seen takes in figures that somebody else has read anyway.
func (p *Page) Seen(at time.Time, figures []Figures) { p.history.record(at, figures) }

// ServeHTTP implements http.Handler. What it answers is the same for every path
// and query.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.places <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	text := func() []byte {
		defer func() { <-p.places }()
		return p.render(time.Now())
	}()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Content-Security-Policy", p.policy())
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = w.Write(text) // the client is gone
}

func (p *Page) render(now time.Time) []byte {
	figures := p.source.Figures()
	snapshot := p.source.Snapshot()
	p.history.record(now, figures)
	v := view{
		now: now, Snapshot: snapshot, serves: p.source.Serves(), version: p.source.Version,
		figures: make(map[int]Figures, len(figures)), told: p.memory.look(), tracks: p.history.look(now, figures),
	}
	for _, f := range figures {
		v.figures[f.Slot] = f
	}
	return v.html()
}
