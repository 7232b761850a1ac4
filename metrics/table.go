package metrics

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/brood-init/brood/fanout"
)

// Table counts what happens. Make it with NewTable, and pass Observe to the
// engine; a Gatherer reads it from other goroutines.
type Table struct {
	totals
	slots     atomic.Pointer[[]*cell] // by number, ascending
	bootTicks func() uint64
}

// cell holds what is known about a slot. Only the engine's goroutine replaces
// the record.
type cell struct {
	slot   int
	record atomic.Pointer[record]
}

// NewTable returns a table without a slot.
func NewTable() *Table {
	t := &Table{bootTicks: bootTicks}
	t.slots.Store(new([]*cell))
	return t
}

// Observe is the fold: a fanout.Observer. It works in memory, and waits for
// nobody. Calls must come one after another, as the engine makes them.
func (t *Table) Observe(at time.Time, ev fanout.Event) {
	switch ev := ev.(type) {
	case fanout.SlotEntered:
		t.change(ev.Slot, func(r *record) { r.entered(ev) })
	case fanout.SlotTaken:
		t.forget(ev.Slot)
	case fanout.WorkerStarted:
		p := &incarnation{number: ev.Incarnation, pid: ev.PID, started: at, latest: t.bootTicks()}
		t.change(ev.Slot, func(r *record) { r.started(p) })
	case fanout.WorkerReady:
		t.change(ev.Slot, func(r *record) { r.ready(at, ev.Incarnation) })
	case fanout.WorkerExited:
		t.change(ev.Slot, func(r *record) { r.exited(at, ev) })
		t.reaped(reapedWorker, ev.Status)
		if ev.StopTook > 0 {
			t.stopTook(ev.StopTook)
		}
	case fanout.WorkerStartFailed:
		t.change(ev.Slot, func(r *record) { r.startFailures++ })
	case fanout.BackingOff:
		t.change(ev.Slot, func(r *record) { r.backoff = ev.Delay })
	case fanout.OrphansAdopted:
		t.orphansReaped(ev.Origins.Slots)
		t.count(ev)
	default:
		t.count(ev)
	}
}

// orphansReaped counts what workers have left. A slot that there is no more, or
// never was, gets no series.
func (t *Table) orphansReaped(slots map[int]int) {
	for slot, n := range slots {
		if _, ok := find(*t.slots.Load(), slot); ok {
			t.change(slot, func(r *record) { r.orphans += uint64(n) })
		}
		countAt(t.orphans[:], originWorker, n)
	}
}

// change replaces a slot's record by a changed copy.
func (t *Table) change(slot int, how func(*record)) {
	c := t.cell(slot)
	r := new(record)
	if old := c.record.Load(); old != nil {
		*r = *old
	}
	how(r)
	c.record.Store(r)
	t.include(c)
}

// cell returns a slot's cell, or a new one that is not in the table yet.
func (t *Table) cell(slot int) *cell {
	all := *t.slots.Load()
	if i, ok := find(all, slot); ok {
		return all[i]
	}
	return &cell{slot: slot}
}

// include makes a new cell visible, once its record is there. The list is
// replaced, so a scrape may go through the old one meanwhile; a cell at the
// end, the usual case, goes to memory that no older list reaches.
func (t *Table) include(c *cell) {
	all := *t.slots.Load()
	i, ok := find(all, c.slot)
	if ok {
		return
	}
	if i < len(all) {
		all = slices.Insert(slices.Clone(all), i, c)
	} else {
		all = append(all, c)
	}
	t.slots.Store(&all)
}

// forget drops a slot that has turned out to be somebody else's. It has never
// had a process, so no counter goes with it.
func (t *Table) forget(slot int) {
	all := *t.slots.Load()
	i, ok := find(all, slot)
	if !ok || all[i].record.Load().starts > 0 {
		return
	}
	all = slices.Delete(slices.Clone(all), i, i+1)
	t.slots.Store(&all)
}

func find(all []*cell, slot int) (int, bool) {
	return slices.BinarySearchFunc(all, slot, func(c *cell, slot int) int { return cmp.Compare(c.slot, slot) })
}
