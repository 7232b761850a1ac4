package metrics

import (
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
)

// workerLabels are the label values that all slots share.
type workerLabels struct{ state, reason, mode, fault, direction []*dto.LabelPair }

func newWorkerLabels() workerLabels {
	return workerLabels{
		state:     values(workerState, "state"),
		reason:    values(workerExits, "reason"),
		mode:      values(workerCPU, "mode"),
		fault:     values(workerFaults, "type"),
		direction: values(workerIO, "direction"),
	}
}

// workerRow are the metrics of a slot.
type workerRow struct {
	label    *dto.LabelPair
	up       series
	state    [slotStateCount]series
	restarts series
	exits    [reasonCount]series
	cpu      [2]series
	rss      series
	full     *fullRow // nil until it is asked for

	// listed is the record's count of openings when a snapshot last had the
	// slot: one that has disappeared from there is closed, one that has never
	// been there is newer than the snapshot.
	listed int
}

// fullRow are the metrics that the short set leaves out.
type fullRow struct {
	pid, startTime, readyTime       series
	starts, startFailures           series
	lastCode, lastTime              series
	backoff, forcedKills            series
	orphans, zombies, adopted       series
	virtual, threads, fds, fdsLimit series
	faults, io                      [2]series
}

func (g *Gatherer) row(slot int) *workerRow {
	row := g.rows[slot]
	if row == nil {
		w := label("worker", strconv.Itoa(slot))
		row = &workerRow{
			label: w, up: g.series(workerUp, w), restarts: g.series(workerRestarts, w), rss: g.series(workerRSS, w),
		}
		g.enumerated(row.state[:], workerState, g.shared.state, w)
		g.enumerated(row.exits[:], workerExits, g.shared.reason, w)
		g.enumerated(row.cpu[:], workerCPU, g.shared.mode, w)
		g.rows[slot] = row
	}
	if g.full && row.full == nil {
		row.full = g.fullRow(row.label)
	}
	return row
}

func (g *Gatherer) fullRow(w *dto.LabelPair) *fullRow {
	f := &fullRow{
		pid: g.series(workerPID, w), startTime: g.series(workerStartTime, w), readyTime: g.series(workerReadyTime, w),
		starts: g.series(workerStarts, w), startFailures: g.series(workerStartFailures, w),
		lastCode: g.series(workerLastExitCode, w), lastTime: g.series(workerLastExitTime, w),
		backoff: g.series(workerBackoff, w), forcedKills: g.series(workerForcedKills, w),
		orphans: g.series(workerOrphans, w), zombies: g.series(workerZombies, w), adopted: g.series(workerAdopted, w),
		virtual: g.series(workerVirtual, w), threads: g.series(workerThreads, w),
		fds: g.series(workerOpenFDs, w), fdsLimit: g.series(workerMaxFDs, w),
	}
	g.enumerated(f.faults[:], workerFaults, g.shared.fault, w)
	g.enumerated(f.io[:], workerIO, g.shared.direction, w)
	return f
}

// workers goes through the table's slots.
func (g *Gatherer) workers(snapshot *fanout.Snapshot) {
	cells := *g.options.Table.slots.Load()
	g.seen = g.seen[:0]
	g.full = g.options.Detail == Full || g.options.Detail != Short && len(cells) <= shortAbove
	g.census = nil
	if g.full && g.options.Census != nil {
		g.census = g.options.Census(censusAge)
	}
	var listed []*fanout.SlotView // ascending, as the cells are
	if snapshot != nil {
		listed = snapshot.Slots
	}
	for _, c := range cells {
		for len(listed) > 0 && listed[0].Slot < c.slot {
			listed = listed[1:]
		}
		row, r := g.row(c.slot), c.record.Load()
		if len(listed) > 0 && listed[0].Slot == c.slot {
			row.listed = r.opened
		}
		closed := len(r.live) == 0 && row.listed == r.opened && snapshot != nil &&
			(len(listed) == 0 || listed[0].Slot != c.slot)
		g.worker(c.slot, row, r, !closed)
	}
}

// censusAge is how old a look at all processes may be: it costs 2 us for each.
const censusAge = 15 * time.Second

// leaks are a slot's, none if nothing is known.
func (g *Gatherer) leaks(slot int) (l fanout.Leaks) {
	if g.census != nil {
		l = g.census.Slots[slot]
	}
	return l
}

// reading is what /proc says of a slot's processes at this moment.
type reading struct {
	stat             proc.Stat
	alive            bool // and the stat is its
	fds              int
	fdsKnown         bool
	fdsLimit         uint64
	fdsLimitKnown    bool
	readBytes, wrote uint64
	ioKnown          bool
}

func (g *Gatherer) worker(slot int, row *workerRow, r *record, open bool) {
	total := r.base
	shown, any := r.shown()
	var now reading
	for _, p := range r.live {
		read := g.read(p.incarnation)
		seen := figures(read.stat)
		seen.readBytes, seen.writeBytes, seen.ioKnown = read.readBytes, read.wrote, read.ioKnown
		total.add(p.observe(seen))
		if p.incarnation == shown.incarnation {
			now = read
		}
	}

	if open {
		up := 0.0
		if any {
			up = 1
		}
		row.up.put(up)
		for i, state := range slotStates() {
			row.state[i].put(truth(state == r.state))
		}
	}
	row.restarts.put(float64(r.restarts))
	for i := range row.exits {
		row.exits[i].put(float64(r.exits[i]))
	}
	row.cpu[0].put(float64(total.userTicks) / proc.TicksPerSecond)
	row.cpu[1].put(float64(total.systemTicks) / proc.TicksPerSecond)
	row.rss.putIf(now.alive, float64(now.stat.ResidentPages)*g.reader.pageBytes)
	if g.options.Seen != nil {
		f := Figures{Slot: slot, Restarts: r.restarts, CPUSeconds: float64(total.userTicks+total.systemTicks) / proc.TicksPerSecond}
		if now.alive {
			f.Resident = uint64(now.stat.ResidentPages) * uint64(g.reader.pageBytes)
		}
		g.seen = append(g.seen, f)
	}
	if g.full {
		row.full.put(r, shown, now, total, open)
		leaks := g.leaks(slot)
		row.full.zombies.putIf(open && g.census != nil, float64(leaks.Zombies))
		row.full.adopted.putIf(open && g.census != nil, float64(leaks.Adopted))
	}
}

func (f *fullRow) put(r *record, shown liveProcess, now reading, total usage, open bool) {
	if shown.incarnation != nil {
		f.pid.put(float64(shown.pid))
		f.startTime.put(unixSeconds(shown.started))
		f.readyTime.putIf(!shown.ready.IsZero(), unixSeconds(shown.ready))
	}
	f.starts.put(float64(r.starts))
	f.startFailures.put(float64(r.startFailures))
	f.orphans.put(float64(r.orphans))
	f.forcedKills.put(float64(r.exits[reasonIndex(fanout.ReasonKilled)]))
	f.lastCode.putIf(!r.lastExit.IsZero(), float64(r.lastCode))
	f.lastTime.putIf(!r.lastExit.IsZero(), unixSeconds(r.lastExit))
	f.backoff.putIf(open, r.backoff.Seconds())
	f.virtual.putIf(now.alive, float64(now.stat.VirtualBytes))
	f.threads.putIf(now.alive, float64(now.stat.Threads))
	f.fds.putIf(now.alive && now.fdsKnown, float64(now.fds))
	f.fdsLimit.putIf(now.alive && now.fdsLimitKnown, float64(now.fdsLimit))
	f.faults[0].put(float64(total.minFaults))
	f.faults[1].put(float64(total.majFaults))
	f.io[0].putIf(total.ioKnown, float64(total.readBytes))
	f.io[1].putIf(total.ioKnown, float64(total.writeBytes))
}

// read reads about a process. The stat comes last: if it is this process's, all
// that was read by its number before was so too, since a number that has
// passed to a stranger does not come back. Of anything else nothing counts.
func (g *Gatherer) read(p *incarnation) (now reading) {
	var io, fds, limits error
	if g.full {
		now.readBytes, now.wrote, io = g.reader.fs.IO(p.pid)
		now.fds, fds = g.reader.fds(p.pid)
		now.fdsLimit, limits = g.reader.fdLimit(p.pid, p.maxFDs)
	}
	stat, err := g.reader.fs.Stat(p.pid)
	if err != nil {
		if !proc.Gone(err) {
			g.failedIf(err, p, sourceStat)
		}
		return reading{}
	}
	if !p.mine(stat, g.options.Self) {
		return reading{}
	}
	now.stat, now.alive = stat, !stat.Ended()
	g.known[p.pid] = true
	if !now.alive {
		g.dead++
	}
	if !g.full {
		return now
	}
	now.ioKnown, now.fdsKnown, now.fdsLimitKnown = io == nil, fds == nil, limits == nil
	if now.fdsLimitKnown {
		p.maxFDs = now.fdsLimit
	}
	if now.alive { // a zombie's descriptors are gone, and that is no failure
		g.failedIf(io, p, sourceIO)
		g.failedIf(fds, p, sourceFDs)
		g.failedIf(limits, p, sourceLimits)
	}
	return now
}

// failedIf counts a file of a process that could not be read, once.
func (g *Gatherer) failedIf(err error, p *incarnation, of source) {
	if err != nil && p.firstFailure(of) {
		g.errors[of]++
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// unixSeconds keeps milliseconds: a float64 has room for more, a page does not.
func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
