package scraping

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/probe"
	"github.com/brood-init/brood/metrics/merge"
)

// Bounds of a round.
const (
	perWorker = time.Second // from connecting to the last byte
	atOnce    = 64          // workers that are asked at the same time
	mostBody  = 4 << 20     // bytes of an answer, as it is after decompression
	mostBytes = 64 << 20    // of all answers that are held at the same time
	// mostSamples is what one worker may have.
	mostSamples = 20_000
	// mostIdle bounds a page that is kept for the next round, in bytes.
	mostIdle = 16 << 20
	// mostKept is how many workers' connections are kept: each takes 16 KiB.
	mostKept = 128
)

// Target is a worker to ask.
type Target struct {
	Slot, Incarnation int
	Place             expand.Values
}

// Options configures a Scraper. Page and Targets are required.
type Options struct {
	// Page is where a worker has its page: see probe.ParsePage.
	Page *probe.Probe
	// Targets are the workers to ask now, by ascending slot.
	Targets func() []Target
	// Rules are those of the merge; Samples is set here.
	Rules merge.Rules
	// Missing is told why a worker's page could not be had, once for each reason
	// of a process, from any goroutine. It must not block.
	Missing func(t Target, reason string, err error)
	// Panicked is told of a panic, from a goroutine of its own.
	Panicked func(value any, stack []byte)
}

// Result is what came of asking one worker.
type Result struct {
	Slot, Incarnation int
	Up                bool
	Took              time.Duration
	Samples           int // on its page, before any was dropped
}

// Scraper asks workers. Its methods may be called from any goroutine.
type Scraper struct {
	o        Options
	patience time.Duration // perWorker, but for tests
	clients  clients
	answers  sync.Pool    // of *answer
	pages    sync.Pool    // of *[]byte
	room     atomic.Int64 // what is left of mostBytes

	last     atomic.Pointer[[]Result]
	failures [failureCount]atomic.Uint64
	dropped  [dropCount]atomic.Uint64

	mu     sync.Mutex
	rounds map[string]*round // under way
	told   map[int]told      // by slot
}

// told is what was said of a process already.
type told struct {
	incarnation int
	reasons     [failureCount]bool
}

// New returns a Scraper. It asks nobody before Collect is called.
func New(o Options) *Scraper {
	o.Rules.Samples = mostSamples
	if o.Missing == nil {
		o.Missing = func(Target, string, error) {}
	}
	if o.Panicked == nil {
		o.Panicked = func(any, []byte) {}
	}
	s := &Scraper{o: o, patience: perWorker, clients: clients{page: o.Page, bySlot: make(map[int]*client)}, rounds: make(map[string]*round), told: make(map[int]told)}
	s.room.Store(mostBytes)
	return s
}

// Last is what the round that ended last has found, by ascending slot.
func (s *Scraper) Last() []Result {
	if last := s.last.Load(); last != nil {
		return *last
	}
	return nil
}

// Collection is the workers' part of a page. Release it when the bytes are not
// needed any more.
type Collection struct {
	Page  []byte // whole families, without an end mark
	round *round
}

// Release gives the memory of the page back.
func (c Collection) Release() {
	if c.round != nil {
		c.round.leave()
	}
}

var errTime = errors.New("cannot ask the workers in time")

// Collect asks all targets and returns the merged page of those that answer, of
// the families named by only, or of all. Who asks for the same while a round is
// under way, and has as much time, shares it. An error means that ctx was over
// first.
func (s *Scraper) Collect(ctx context.Context, style merge.Style, only []string) (Collection, error) {
	r := s.join(ctx, style, only)
	select {
	case <-r.done:
		return Collection{Page: *r.page, round: r}, nil
	case <-ctx.Done():
		r.leave()
		return Collection{}, errTime
	}
}

// join returns the round that is under way, or begins one. It is left by leave.
func (s *Scraper) join(ctx context.Context, style merge.Style, only []string) *round {
	only = slices.Sorted(slices.Values(only))
	key := style.ContentType + "\x00" + strings.Join(only, "\x00")
	deadline := roundEnd(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rounds[key]; r != nil && !r.deadline.After(deadline) {
		r.users++
		return r
	}
	r := &round{
		scraper: s, style: style, only: only, key: key, deadline: deadline,
		page: s.newPage(), done: make(chan struct{}), users: 2, // the caller, and run
	}
	s.rounds[key] = r
	go r.run()
	return r
}

// roundEnd leaves a fifth of the caller's time for what comes after the round.
func roundEnd(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Now().Add(5 * time.Second)
	}
	return deadline.Add(-time.Until(deadline) / 5)
}

// failed counts what has gone wrong with a target, and says so once.
func (s *Scraper) failed(t Target, err error) {
	reason := reasonOf(err)
	s.failures[reason].Add(1)
	s.mu.Lock()
	was := s.told[t.Slot]
	if was.incarnation != t.Incarnation {
		was = told{incarnation: t.Incarnation}
	}
	isNew := !was.reasons[reason]
	was.reasons[reason] = true
	s.told[t.Slot] = was
	s.mu.Unlock()
	if isNew {
		s.o.Missing(t, Failures()[reason], err)
	}
}

// done is called when an answer is not needed any more.
func (s *Scraper) done(a *answer) {
	s.room.Add(a.took)
	a.took = 0
	s.answers.Put(a)
}

func (s *Scraper) newPage() *[]byte {
	if idle, ok := s.pages.Get().(*[]byte); ok {
		*idle = (*idle)[:0]
		return idle
	}
	return new([]byte)
}
