package metrics

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
)

// maxRegistered bounds the indices that have series of their own: any process
// may register itself, and a program may use its PIDs for indices. Those beyond
// are counted, no more.
const maxRegistered = 128

// registeredRow are the metrics of an index under which processes register.
type registeredRow struct {
	index int
	cpu   [2]series
	rss   series
	base  usage // of processes that are no longer registered
	// now are those that are, by their PIDs.
	now map[int]*registeredProcess
}

// registeredProcess is a process that brood has not started: nobody reads its
// last figures, so what counts is the last that a scrape has seen.
type registeredProcess struct {
	start  uint64 // ticks; 0 until it was read for the first time
	seen   usage
	listed bool // by this scrape's snapshot
}

// registeredProcesses puts the processes of a snapshot.
func (g *Gatherer) registeredProcesses(list []fanout.RegisteredProcess) {
	for _, p := range list {
		row := g.registeredRow(p.Index)
		if row == nil {
			continue
		}
		if row.now[p.PID] == nil {
			row.now[p.PID] = &registeredProcess{}
		}
		row.now[p.PID].listed = true
	}
	for _, row := range g.registered {
		g.putRegistered(row)
	}
}

// registeredRow returns the row of an index, or nil when there are too many.
func (g *Gatherer) registeredRow(index int) *registeredRow {
	at, found := slices.BinarySearchFunc(g.registered, index,
		func(row *registeredRow, index int) int { return cmp.Compare(row.index, index) })
	switch {
	case found:
		return g.registered[at]
	case len(g.registered) >= maxRegistered:
		return nil
	}
	i := label("index", strconv.Itoa(index))
	row := &registeredRow{index: index, rss: g.series(registeredRSS, i), now: make(map[int]*registeredProcess)}
	g.enumerated(row.cpu[:], registeredCPU, g.brood.modes, i)
	g.registered = slices.Insert(g.registered, at, row)
	return row
}

func (g *Gatherer) putRegistered(row *registeredRow) {
	pages, alive := int64(0), false
	for pid, p := range row.now {
		if !p.listed {
			row.base.add(p.seen)
			delete(row.now, pid)
			continue
		}
		p.listed = false
		stat, err := g.reader.fs.Stat(pid)
		if err != nil {
			continue // ended, or hidden: the engine tells the two apart
		}
		if p.start == 0 {
			p.start = stat.StartTicks
		}
		if stat.StartTicks == p.start && !stat.Ended() {
			p.seen.raise(figures(stat))
			pages, alive = pages+stat.ResidentPages, true
		}
	}
	if len(row.now) == 0 {
		return
	}
	total := row.base
	for _, p := range row.now {
		total.add(p.seen)
	}
	row.cpu[0].put(float64(total.userTicks) / proc.TicksPerSecond)
	row.cpu[1].put(float64(total.systemTicks) / proc.TicksPerSecond)
	row.rss.putIf(alive, float64(pages)*g.reader.pageBytes)
}
