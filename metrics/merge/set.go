package merge

import "hash/maphash"

// set holds sums of series. It is half as dear as a map, which counts with
// thousands of them, and keeps its memory for the next page.
type set struct {
	slots []uint64 // by the lower bits of the sum and what follows; 0 is free
	used  int
	seed  maphash.Seed
}

// minSlots is what an empty set has.
const minSlots = 1 << 10

func (s *set) clear() {
	if s.slots == nil {
		s.slots, s.seed = make([]uint64, minSlots), maphash.MakeSeed()
	}
	if s.used > 0 {
		clear(s.slots)
	}
	s.used = 0
}

// add reports whether the sum is new.
func (s *set) add(sum uint64) bool {
	if 2*s.used >= len(s.slots) {
		s.grow()
	}
	if sum == 0 {
		sum = 1 // the one sum that cannot be told from its neighbour
	}
	if !s.put(sum) {
		return false
	}
	s.used++
	return true
}

func (s *set) put(sum uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := sum & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case 0:
			s.slots[i] = sum
			return true
		case sum:
			return false
		}
	}
}

func (s *set) grow() {
	old := s.slots
	s.slots = make([]uint64, 4*len(old))
	for _, sum := range old {
		if sum != 0 {
			s.put(sum)
		}
	}
}
