package metrics

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

// machine is a kernel, a reaper and an engine that hears of things later.
type machine struct {
	t     *rapid.T
	f     fakeProc
	table *Table
	g     *Gatherer

	ticks   uint64 // the boot clock
	running map[int]*fakeWorker
	zombies map[int]*fakeWorker
	next    map[int]int // incarnations by slot
	strange map[int]bool
	queue   []func() // exits that the engine has not heard of

	used   map[int]uint64 // user ticks by slot, the truth
	served readable       // the highest of each counter
}

type fakeWorker struct {
	slot, incarnation int
	stat              proc.Stat
	io                uint64
	noIO              bool
}

const (
	fakeSlots = 3
	fakePIDs  = 6 // few, so that numbers come back soon
)

func newMachine(t *rapid.T, tb testing.TB) *machine {
	m := &machine{
		t: t, f: newFakeProc(tb), table: NewTable(), ticks: 1000,
		running: map[int]*fakeWorker{}, zombies: map[int]*fakeWorker{}, next: map[int]int{}, strange: map[int]bool{},
		used: map[int]uint64{}, served: readable{},
	}
	m.table.bootTicks = func() uint64 { return m.ticks }
	m.g = newTestGatherer(tb, m.f, "", Options{Table: m.table, Detail: Full})
	return m
}

func (m *machine) busy(slot int) bool {
	for _, all := range []map[int]*fakeWorker{m.running, m.zombies} {
		for _, w := range all {
			if w.slot == slot {
				return true
			}
		}
	}
	return false
}

func (m *machine) free(pid int) bool {
	return m.running[pid] == nil && m.zombies[pid] == nil && !m.strange[pid]
}

// start forks a worker. The engine hears of a start at once here: what comes
// late is its exit, so a slot may have a living process and one that ended.
func (m *machine) start(slot, pid int, noIO bool) {
	if m.busy(slot) || !m.free(pid) {
		return
	}
	m.next[slot]++
	m.ticks++
	w := &fakeWorker{slot: slot, incarnation: m.next[slot], noIO: noIO, stat: proc.Stat{
		PID: pid, State: 'R', PPID: testSelf, Threads: 1, StartTicks: m.ticks,
	}}
	m.running[pid] = w
	m.show(w)
	m.table.Observe(began(), fanout.WorkerStarted{Slot: slot, Incarnation: w.incarnation, PID: pid})
}

func (m *machine) show(w *fakeWorker) {
	m.f.stat(w.stat)
	if w.noIO {
		m.f.noIO(w.stat.PID)
	} else {
		m.f.io(w.stat.PID, w.io, w.io)
	}
}

func (m *machine) work(pid int, amount uint64) {
	w := m.running[pid]
	if w == nil {
		return
	}
	w.stat.UserTicks += amount
	w.stat.SystemTicks += amount / 2
	w.stat.MinFaults += amount
	w.io += 512 * amount
	m.used[w.slot] += amount
	m.show(w)
}

func (m *machine) exit(pid int) {
	w := m.running[pid]
	if w == nil {
		return
	}
	delete(m.running, pid)
	m.zombies[pid] = w
	w.stat.State = 'Z'
	m.show(w)
}

func (m *machine) reap(pid int) {
	w := m.zombies[pid]
	if w == nil {
		return
	}
	delete(m.zombies, pid)
	m.f.remove(pid)
	final := reaper.Usage{Stat: w.stat}
	if !w.noIO {
		final.ReadBytes, final.WriteBytes = w.io, w.io
	}
	m.queue = append(m.queue, func() {
		m.table.Observe(began(), fanout.WorkerExited{
			Slot: w.slot, Incarnation: w.incarnation, Reason: fanout.ReasonFailed,
			StopTook: time.Second, Exit: reaper.Exit{PID: pid, Final: final},
		})
	})
}

// stranger gives a number away: to a child of brood that is no worker, or to
// somebody else's process.
func (m *machine) stranger(pid int, ours bool) {
	if m.strange[pid] {
		delete(m.strange, pid)
		m.f.remove(pid)
		return
	}
	if !m.free(pid) {
		return
	}
	m.strange[pid] = true
	m.ticks++
	parent := 99
	if ours {
		parent = testSelf
	}
	m.f.stat(proc.Stat{PID: pid, State: 'R', PPID: parent, Threads: 1, StartTicks: m.ticks, UserTicks: 1 << 40, MinFaults: 1 << 40})
	m.f.io(pid, 1<<40, 1<<40)
}

func (m *machine) hear() {
	if len(m.queue) > 0 {
		m.queue[0]()
		m.queue = m.queue[1:]
	}
}

// scrape checks that no counter has gone back, and that none is gone.
func (m *machine) scrape() {
	page := scrape(m.f.tb, m.g)
	for name, before := range m.served {
		if now, there := page[name]; !there || now < before {
			m.t.Fatalf("%s was %v and is %v (there: %v)", name, before, now, there)
		}
	}
	for name, now := range page {
		if strings.Contains(name, "_total") || strings.Contains(name, "_duration_seconds") {
			m.served[name] = now
		}
		if strings.HasPrefix(name, "brood_worker_cpu_seconds_total") && now > 1e9 {
			m.t.Fatalf("%s is a stranger's: %v", name, now)
		}
	}
}

func TestCountersAreMonotoneAndExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newMachine(r, t)
		slot, pid := rapid.IntRange(1, fakeSlots), rapid.IntRange(10, 9+fakePIDs)
		r.Repeat(map[string]func(*rapid.T){
			"start": func(r *rapid.T) {
				m.start(slot.Draw(r, "slot"), pid.Draw(r, "pid"), rapid.Bool().Draw(r, "no io"))
			},
			"work":     func(r *rapid.T) { m.work(pid.Draw(r, "pid"), rapid.Uint64Range(1, 500).Draw(r, "ticks")) },
			"exit":     func(r *rapid.T) { m.exit(pid.Draw(r, "pid")) },
			"reap":     func(r *rapid.T) { m.reap(pid.Draw(r, "pid")) },
			"stranger": func(r *rapid.T) { m.stranger(pid.Draw(r, "pid"), rapid.Bool().Draw(r, "ours")) },
			"hear":     func(*rapid.T) { m.hear() },
			"scrape":   func(*rapid.T) { m.scrape() },
		})
		for pid := 10; pid < 10+fakePIDs; pid++ {
			m.exit(pid)
			m.scrape()
			m.reap(pid)
		}
		for len(m.queue) > 0 {
			m.hear()
			m.scrape()
		}
		for _, c := range *m.table.slots.Load() {
			if got := c.record.Load().base.userTicks; got != m.used[c.slot] {
				r.Fatalf("slot %d has %d ticks, used %d", c.slot, got, m.used[c.slot])
			}
		}
	})
}
