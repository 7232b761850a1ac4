package fanout

import (
	"iter"
	"maps"
	"slices"
)

// roster holds the slots by their numbers, from 1 up.
type roster struct {
	byNumber []*slot       // byNumber[n-1]; nil where no slot is open
	taken    map[int]int   // numbers that belong to somebody else, and whose
	closed   map[int]*slot // what was there before a number was given back
	open     int           // slots that are not closing
	free     int           // no number up to this one is free
}

func newRoster(taken map[int]int) roster {
	r := roster{taken: make(map[int]int, len(taken)), closed: make(map[int]*slot)}
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

// openLowest opens the lowest free number.
func (r *roster) openLowest() *slot {
	n := r.free
	for n < len(r.byNumber) && r.byNumber[n] != nil || r.taken[n+1] != 0 {
		n++
	}
	for len(r.byNumber) <= n {
		r.byNumber = append(r.byNumber, nil)
	}
	r.free = n + 1
	r.open++
	r.byNumber[n] = &slot{number: n + 1}
	if before := r.closed[n+1]; before != nil {
		// Incarnations go on, and what is kept of its leftovers may live.
		r.byNumber[n].incarnations, r.byNumber[n].leftovers = before.incarnations, before.leftovers
	}
	return r.byNumber[n]
}

// skip closes a slot whose number belongs to somebody else and never opens
// that number again.
func (r *roster) skip(s *slot, by int) {
	r.byNumber[s.number-1] = nil
	r.taken[s.number] = by
	r.open--
}

// retire says that a slot is about to close, keep that it is not.
func (r *roster) retire(s *slot) { s.closing = true; r.open-- }
func (r *roster) keep(s *slot)   { s.closing = false; r.open++ }

// close gives the number of a retired slot back.
func (r *roster) close(s *slot) {
	r.byNumber[s.number-1] = nil
	r.closed[s.number] = s
	r.free = min(r.free, s.number-1)
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

// highest returns the n highest slots that are not closing, from the top.
func (r *roster) highest(n int) []*slot {
	var all []*slot
	for _, s := range slices.Backward(r.byNumber) {
		if s != nil && !s.closing && len(all) < n {
			all = append(all, s)
		}
	}
	return all
}

// retired returns the lowest slot that is closing, or nil.
func (r *roster) retired() *slot {
	for s := range r.all() {
		if s.closing {
			return s
		}
	}
	return nil
}

// retiredReady counts the closing slots that were ready when they began to.
func (r *roster) retiredReady() (n int) {
	for s := range r.all() {
		if s.closing && s.wasReady {
			n++
		}
	}
	return n
}

// processes returns the workers that have a process.
func (r *roster) processes() []*worker {
	var all []*worker
	for s := range r.all() {
		for _, w := range s.processes() {
			if w.pid != 0 {
				all = append(all, w)
			}
		}
	}
	return all
}
