package fanout

import "sync"

// mailbox is an unbounded queue between the engine, which must never block,
// and a goroutine that may. What it holds is bounded by what the engine asks
// for: a few entries per slot.
type mailbox[T any] struct {
	mu    sync.Mutex
	items []T
	ready chan struct{} // capacity 1: items may be there
}

func newMailbox[T any]() *mailbox[T] {
	return &mailbox[T]{ready: make(chan struct{}, 1)}
}

// put adds an item and never blocks.
func (m *mailbox[T]) put(item T) {
	m.mu.Lock()
	m.items = append(m.items, item)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// poll returns the oldest item; false if there is none.
func (m *mailbox[T]) poll() (item T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) == 0 {
		return item, false
	}
	item = m.items[0]
	var none T
	m.items[0] = none // lets go of what it points to
	m.items = m.items[1:]
	return item, true
}

// take returns the oldest item, waiting for one; false once stop is closed.
func (m *mailbox[T]) take(stop <-chan struct{}) (item T, ok bool) {
	for {
		if item, ok = m.poll(); ok {
			return item, true
		}
		select {
		case <-m.ready:
		case <-stop:
			return item, false
		}
	}
}
