package scraping

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"github.com/brood-init/brood/metrics/merge"
)

// failure is why a worker has no series on a page.
type failure int

const (
	unreachable failure = iota // no connection, or it broke off
	timedOut
	badStatus // other than 200
	badFormat
	tooLarge // in bytes or samples, of one or of all together
	failureCount
)

// Failures are the values of the label reason of failures, in their order.
func Failures() []string { return []string{"unreachable", "timeout", "status", "format", "too_large"} }

// Failed is how often a worker's page could not be had, by Failures.
func (s *Scraper) Failed() []uint64 { return load(s.failures[:]) }

func load(counters []atomic.Uint64) []uint64 {
	n := make([]uint64, len(counters))
	for i := range n {
		n[i] = counters[i].Load()
	}
	return n
}

const (
	dropReserved = iota
	dropTypeConflict
	dropDuplicate
	dropCount
)

// Drops are the values of the label reason of dropped samples, in their order.
func Drops() []string { return []string{"reserved_name", "type_conflict", "duplicate"} }

// Dropped is how many samples were left out of pages, by Drops.
func (s *Scraper) Dropped() []uint64 { return load(s.dropped[:]) }

func (s *Scraper) drop(d merge.Dropped) {
	s.dropped[dropReserved].Add(uint64(d.Reserved))
	s.dropped[dropTypeConflict].Add(uint64(d.TypeConflict))
	s.dropped[dropDuplicate].Add(uint64(d.Duplicate))
}

var (
	errStatus   = errors.New("the answer is not 200")
	errTooLarge = errors.New("the answer is too large")
	errEncoding = errors.New("the answer is compressed in an unknown way")
	errInternal = errors.New("internal error")
)

func reasonOf(err error) failure {
	switch {
	case errors.Is(err, errStatus):
		return badStatus
	case errors.Is(err, errTooLarge), errors.Is(err, merge.ErrSamples):
		return tooLarge
	case errors.Is(err, merge.ErrFormat), errors.Is(err, errEncoding), errors.Is(err, errInternal):
		return badFormat
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return timedOut
	}
	return unreachable
}
