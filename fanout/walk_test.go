package fanout

import (
	"maps"
	"slices"
	"testing"
)

// walk is a search through everything that may happen to a plan, breadth first,
// so that what it finds is as short as can be. The engine cannot be copied: each
// step plays its whole story again, in fake time. A state that was seen before is
// not walked on from again, so that a walk without a depth ends when there is
// nothing that can happen and has not been looked at.
type walk struct {
	name  string
	plan  func() Plan
	left  chances
	ready bool    // it begins when all workers are
	depth int     // where it ends; 0 is not before all states were seen
	more  chances // instead of left when it is longer, without a depth; none is a greater depth
}

// longer is the walk for who has time. One whose worker may start again and again,
// each time as another one, has no end.
func (x walk) longer() walk {
	if x.more == (chances{}) {
		x.depth += 3
		return x
	}
	x.left, x.depth = x.more, 0
	return x
}

// node is a state, and how it was reached first.
type node struct {
	from  *node
	by    choice
	depth int
}

func (n *node) story() []choice {
	var all []choice
	for ; n.from != nil; n = n.from {
		all = append(all, n.by)
	}
	slices.Reverse(all)
	return all
}

// found is what a walk has seen.
type found struct {
	states, steps, ends, depth int
	taken                      map[[2]SlotState]int
	complete                   bool
}

// play tells a story again: whether everything holds in it was looked at before.
func (x walk) play(t *testing.T, story []choice) *model {
	m := newModel(t, x.plan(), x.left, true)
	if x.ready {
		m.settle()
	}
	for _, c := range story {
		m.happen(c)
	}
	m.replayed = false
	return m
}

func (x walk) walk(t *testing.T) found {
	seen := found{taken: make(map[[2]SlotState]int), complete: true}
	first := x.play(t, nil)
	known := map[string]bool{first.key(true): true}
	queue := []*node{{}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		story := at.story()
		m := x.play(t, story)
		if at.depth == x.depth && x.depth > 0 {
			seen.complete = false
			x.leave(t, story)
			continue
		}
		for i, c := range m.choices() {
			if i > 0 {
				m = x.play(t, story)
			}
			seen.steps++
			next := &node{at, m.happen(c), at.depth + 1}
			x.judge(t, m, next.story())
			maps.Copy(seen.taken, m.taken)
			if m.done() {
				seen.ends++
				continue
			}
			if key := m.key(true); !known[key] {
				known[key] = true
				seen.depth = next.depth
				queue = append(queue, next)
			}
		}
	}
	seen.states = len(known)
	return seen
}

// leave sees to it that brood ends where the walk does.
func (x walk) leave(t *testing.T, story []choice) {
	for _, quick := range []bool{true, false} {
		m := x.play(t, story)
		m.leave(quick)
		x.judge(t, m, story)
	}
}

func (x walk) judge(t *testing.T, m *model, story []choice) {
	if len(m.broken) > 0 {
		t.Fatalf("%s\nafter %v", m.broken, story)
	}
}
