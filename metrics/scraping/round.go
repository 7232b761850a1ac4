package scraping

import (
	"context"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/brood-init/brood/metrics/merge"
)

// round asks every target once.
type round struct {
	scraper  *Scraper
	style    merge.Style
	only     []string
	key      string
	deadline time.Time

	users int // guarded by the scraper's mu
	done  chan struct{}
	page  *[]byte // written before done is closed, and read after
}

// run belongs to no request: whoever began the round may be gone.
func (r *round) run() {
	s := r.scraper
	defer r.leave()
	defer close(r.done)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.rounds[r.key] == r {
			delete(s.rounds, r.key)
		}
	}()
	defer s.guard()
	targets := s.o.Targets()
	s.clients.keep(targets)
	answers, results := r.ask(targets)
	defer func() {
		for _, a := range answers {
			s.done(a)
		}
	}()
	s.last.Store(&results)
	pages := make([]*merge.Page, 0, len(answers))
	for _, a := range answers {
		s.drop(a.page.Dropped())
		pages = append(pages, &a.page)
	}
	page, dropped := merge.Append(*r.page, r.style, pages, r.only...)
	*r.page = page
	s.drop(dropped)
}

// guard reports a panic: PID 1 must not die of a page.
func (s *Scraper) guard() {
	if v := recover(); v != nil {
		s.o.Panicked(v, debug.Stack())
	}
}

// ask asks all targets, as many at once as is bearable, and returns the answers
// of those that have given one.
func (r *round) ask(targets []Target) ([]*answer, []Result) {
	ctx, cancel := context.WithDeadline(context.Background(), r.deadline)
	defer cancel()
	given, results := make([]*answer, len(targets)), make([]Result, len(targets))
	next := make(chan int, len(targets))
	for i := range targets {
		next <- i
	}
	close(next)
	var askers sync.WaitGroup
	for range min(len(targets), atOnce) {
		askers.Go(func() {
			for i := range next {
				given[i], results[i] = r.one(ctx, targets[i])
			}
		})
	}
	askers.Wait()
	answers := make([]*answer, 0, len(given))
	for _, a := range given {
		if a != nil {
			answers = append(answers, a)
		}
	}
	return answers, results
}

// one asks one worker. The answer is nil if that has failed.
func (r *round) one(ctx context.Context, t Target) (*answer, Result) {
	s := r.scraper
	result := Result{Slot: t.Slot, Incarnation: t.Incarnation}
	a, ok := s.answers.Get().(*answer)
	if !ok {
		a = new(answer)
	}
	begun := time.Now()
	err := r.read(ctx, t, a)
	result.Took = time.Since(begun)
	if err != nil {
		s.failed(t, err)
		s.done(a)
		return nil, result
	}
	result.Up, result.Samples = true, a.page.Samples()
	return a, result
}

func (r *round) read(ctx context.Context, t Target, a *answer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.scraper.o.Panicked(v, debug.Stack())
			err = errInternal
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, r.scraper.patience)
	defer cancel()
	contentType, err := a.fetch(ctx, r.scraper.clients.of(t), r.style.Accept(), &r.scraper.room)
	if err != nil {
		return err
	}
	return a.page.Read(&r.scraper.o.Rules, r.style, strconv.Itoa(t.Slot), contentType, a.body)
}

// leave is called once by each user. The last one gives the page back.
func (r *round) leave() {
	s := r.scraper
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.users--; r.users == 0 && cap(*r.page) <= mostIdle {
		s.pages.Put(r.page)
	}
}
