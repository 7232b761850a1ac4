package fanout

import (
	"iter"
	"maps"
)

// roster holds the slots by their numbers, from 1 up.
type roster struct {
	byNumber []*slot     // byNumber[n-1]; nil where no slot is open
	taken    map[int]int // numbers that belong to somebody else, and whose
	free     int         // no number up to this one is free
}

func newRoster(taken map[int]int) roster {
	r := roster{taken: make(map[int]int, len(taken))}
	maps.Copy(r.taken, taken)
	return r
}

// get returns slot n, or nil.
func (r *roster) get(n int) *slot {
	if n < 1 || n > len(r.byNumber) {
		return nil
	}
	return r.byNumber[n-1]
}

// open opens the lowest free number.
func (r *roster) open() *slot {
	n := r.free
	for n < len(r.byNumber) && r.byNumber[n] != nil || r.taken[n+1] != 0 {
		n++
	}
	for len(r.byNumber) <= n {
		r.byNumber = append(r.byNumber, nil)
	}
	r.free = n + 1
	r.byNumber[n] = &slot{number: n + 1}
	return r.byNumber[n]
}

// skip closes a slot whose number belongs to somebody else and never opens
// that number again.
func (r *roster) skip(s *slot, by int) {
	r.byNumber[s.number-1] = nil
	r.taken[s.number] = by
}

// all yields the slots by number.
func (r *roster) all() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for _, s := range r.byNumber {
			if s != nil && !yield(s) {
				return
			}
		}
	}
}

// lowest returns the slot that leads, or nil when there is none.
func (r *roster) lowest() *slot {
	for s := range r.all() {
		return s
	}
	return nil
}

// running returns the slots whose worker has a process.
func (r *roster) running() []*slot {
	var all []*slot
	for s := range r.all() {
		if s.worker != nil && s.worker.pid != 0 {
			all = append(all, s)
		}
	}
	return all
}
