package metrics

import (
	"math"
	"strconv"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/internal/signame"
)

// broodSeries are the metrics of which there is one set.
type broodSeries struct {
	build      series
	states     []series // as phases
	desired    series
	followed   series
	scalings   [scaleCauseCount]series
	reloading  series
	reloads    [changeResultCount]series
	replaced   [replaceCauseCount][changeResultCount]series
	unanswered series
	countInfo  map[cgroup.Source]*series
	cpu, rss   series
	fds        series
	goroutines series
	startTime  series
	received   growing
	forwarded  growing
	reaped     [reapedCount]series
	orphans    [originCount]series
	codes      growing
	signals    growing
	zombies    series
	processes  series
	runs       [hookCount][hookResultCount]series
	durations  [hookCount]series
	dropped    series
	registered series
	problems   [problemKindCount]series
	panics     series
	readErrors [sourceCount]series
	requests   [requestCodeCount]series
	stops      *histogram
	modes      []*dto.LabelPair // shared by registered processes
}

func newBroodSeries(f *families, o Options) *broodSeries {
	all := slotless(f)
	all.build = f.series(buildInfo,
		label("goversion", o.Build.Go), label("revision", o.Build.Revision), label("version", o.Build.Version))
	all.states = make([]series, len(phases()))
	f.enumerated(all.states, broodState, values(broodState, "state"))
	all.countInfo = make(map[cgroup.Source]*series)
	f.enumerated(all.reaped[:], reapedProcesses, values(reapedProcesses, "kind"))
	f.enumerated(all.orphans[:], reapedOrphans, values(reapedOrphans, "origin"))
	f.enumerated(all.problems[:], pidfileProblems, values(pidfileProblems, "kind"))
	f.enumerated(all.readErrors[:], readErrors, values(readErrors, "file"))
	f.enumerated(all.requests[:], requests, values(requests, "code"))
	f.enumerated(all.scalings[:], scalings, values(scalings, "cause"))
	f.enumerated(all.reloads[:], reloads, values(reloads, "result"))
	for i, cause := range values(replacements, "cause") {
		f.enumerated(all.replaced[i][:], replacements, values(replacements, "result"), cause)
	}
	results := values(hookRuns, "result")
	for i, hook := range values(hookRuns, "hook") {
		f.enumerated(all.runs[i][:], hookRuns, results, hook)
		all.durations[i] = f.series(hookDuration, hook)
	}
	bounds := stopBuckets()
	all.stops = f.histogram(workerStopDuration, bounds[:])
	all.modes = values(registeredCPU, "mode")
	return all
}

// slotless makes what needs nothing but its family.
func slotless(f *families) *broodSeries {
	return &broodSeries{
		followed: f.series(limitsFollowed), reloading: f.series(reloading), unanswered: f.series(probeFailures),
		desired: f.series(workersDesired), cpu: f.series(processCPU), rss: f.series(processRSS),
		fds: f.series(processOpenFDs), goroutines: f.series(processGoroutines), startTime: f.series(processStartTime),
		zombies: f.series(zombies), processes: f.series(processes),
		dropped: f.series(hooksDropped), registered: f.series(registeredCount), panics: f.series(panics),
		received:  newGrowing(f, signalsReceived, presetSignals(), signalLabel),
		forwarded: newGrowing(f, signalsForwarded, presetSignals(), signalLabel),
		codes:     newGrowing(f, reapedCodes, presetCodes(), func(n int) *dto.LabelPair { return label("code", strconv.Itoa(n)) }),
		signals:   newGrowing(f, reapedSignals, presetEnds(), signalLabel),
	}
}

func signalLabel(n int) *dto.LabelPair { return label("signal", signame.Name(syscall.Signal(n))) }

// growing are the series of a label with many values, of which some are there
// from the start and the others from their first count.
type growing struct {
	families *families
	family   family
	label    func(int) *dto.LabelPair
	all      map[int]*series
}

func newGrowing[T ~int](f *families, of family, preset []T, label func(int) *dto.LabelPair) growing {
	g := growing{f, of, label, make(map[int]*series, len(preset))}
	for _, n := range preset {
		g.add(int(n))
	}
	return g
}

func (g *growing) add(n int) *series {
	s := g.families.series(g.family, g.label(n))
	g.all[n] = &s
	return &s
}

func (g *growing) put(n int, count uint64) {
	s := g.all[n]
	if s == nil {
		if count == 0 {
			return
		}
		s = g.add(n)
	}
	s.put(float64(count))
}

// engine puts what a snapshot says.
func (g *Gatherer) engine(s *fanout.Snapshot) {
	b := g.brood
	b.build.put(1)
	if g.options.CountSource != nil {
		if source := g.options.CountSource(); source != "" {
			if b.countInfo[source] == nil {
				made := g.series(workerCountInfo, label("source", string(source)))
				b.countInfo[source] = &made
			}
			b.countInfo[source].put(1)
		}
	}
	if s == nil {
		return
	}
	for i, phase := range phases() {
		b.states[i].put(truth(phase == s.Phase))
	}
	b.desired.put(float64(s.Wanted))
	b.followed.put(truth(s.Following))
	b.reloading.put(truth(s.Reloading))
	b.registered.put(float64(len(s.Registered)))
	g.registeredProcesses(s.Registered)
}

// totals puts what the table has counted beside the slots.
func (g *Gatherer) totals() {
	t, b := g.options.Table, g.brood
	for n := range signalCount {
		b.received.put(n, t.received[n].Load())
		b.forwarded.put(n, t.forwarded[n].Load())
		b.signals.put(n, t.signals[n].Load())
	}
	for n := range codeCount {
		b.codes.put(n, t.codes[n].Load())
	}
	for i := range b.reaped {
		b.reaped[i].put(float64(t.reapedBy[i].Load()))
	}
	for i := range b.orphans {
		b.orphans[i].put(float64(t.orphans[i].Load()))
	}
	for i := range b.runs {
		ran := uint64(0)
		for j := range b.runs[i] {
			n := t.hookRuns[i][j].Load()
			b.runs[i][j].put(float64(n))
			ran += n
		}
		b.durations[i].putIf(ran > 0, math.Float64frombits(t.hookSeconds[i].Load()))
	}
	for i := range b.scalings {
		b.scalings[i].put(float64(t.scalings[i].Load()))
	}
	for i := range b.reloads {
		b.reloads[i].put(float64(t.reloads[i].Load()))
	}
	for i := range b.replaced {
		for j := range b.replaced[i] {
			b.replaced[i][j].put(float64(t.replaced[i][j].Load()))
		}
	}
	b.unanswered.put(float64(t.unanswered.Load()))
	b.dropped.put(float64(t.dropped.Load()))
	b.panics.put(float64(t.panics.Load()))
	for i := range b.problems {
		b.problems[i].put(float64(t.problems[i].Load()))
	}
	for i := range b.requests {
		b.requests[i].put(float64(t.answered[i].Load()))
	}
	if stops := t.stops.Load(); stops != nil {
		b.stops.put(stops.buckets[:], stops.count, stops.sum)
	} else {
		b.stops.put(make([]uint64, stopBucketCount), 0, 0)
	}
}

// self puts brood's own use of the machine.
func (g *Gatherer) self() {
	b := g.brood
	b.startTime.put(float64(g.options.Started.UnixMilli()) / float64(time.Second/time.Millisecond))
	b.goroutines.put(float64(g.goroutines()))
	stat, err := g.reader.fs.Stat(g.options.Self)
	if err != nil {
		g.errors[sourceStat]++
	} else {
		g.ownTicks = max(g.ownTicks, stat.UserTicks+stat.SystemTicks)
		b.rss.put(float64(stat.ResidentPages) * g.reader.pageBytes)
	}
	b.cpu.put(float64(g.ownTicks) / proc.TicksPerSecond)
	n, err := g.reader.fds(g.options.Self)
	if err != nil {
		g.errors[sourceFDs]++
		return
	}
	b.fds.put(float64(n))
}

// maxStrangers bounds the children that are looked at only to find zombies, at
// 2 us each: those that are no workers, which have been looked at anyway.
const maxStrangers = 1024

// zombies counts brood's children that have ended. The kernel lists the
// children of a process (CONFIG_PROC_CHILDREN, Linux 4.2 with nearly every
// distribution's configuration); without that they are not counted, since all
// processes would have to be looked at. It also counts the processes of the
// container, by name only, when brood is the first of them and /proc is thereby
// the container's own.
func (g *Gatherer) zombies() {
	if g.options.Self == 1 {
		n := 0
		err := g.reader.entries(g.reader.root, func(name []byte) bool {
			if _, ok := number(name); ok {
				n++
			}
			return true
		})
		g.brood.processes.putIf(err == nil, float64(n))
	}
	if g.noChildren {
		return
	}
	var err error
	g.children, err = g.reader.children(g.children[:0], g.options.Self)
	if err != nil {
		g.noChildren = true
		g.errors[sourceChildren]++
		return
	}
	dead, strangers := g.dead, 0
	for _, pid := range g.children {
		if g.known[pid] {
			continue
		}
		if strangers++; strangers > maxStrangers {
			return
		}
		stat, err := g.reader.fs.Stat(pid)
		if err == nil && stat.PPID == g.options.Self && stat.Ended() {
			dead++
		}
	}
	g.brood.zombies.put(float64(dead))
}
