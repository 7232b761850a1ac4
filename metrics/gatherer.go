package metrics

import (
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/proc"
)

// Detail says how much is told of each worker.
type Detail string

// The details.
const (
	Full  Detail = "full"
	Short Detail = "short" // up, state, restarts, exits, CPU and resident memory
	Auto  Detail = "auto"  // Short above shortAbove slots; the empty Detail too
)

// shortAbove is the number of slots above which Auto is Short: 128 slots with
// all there is are 4,600 series.
const shortAbove = 128

// Build is what brood says of its binary.
type Build struct{ Version, Revision, Go string }

// Options configures a Gatherer.
type Options struct {
	// Table is required.
	Table *Table
	// Snapshot is the engine's state now; nil leaves out what comes from it.
	Snapshot func() *fanout.Snapshot
	// CountSource is what decided the number of workers, as cgroup.Decision
	// has it; nil or an empty answer leaves it out.
	CountSource func() cgroup.Source
	Detail      Detail
	// Workers tells how asking the workers for their own pages went; nil if
	// nobody asks them.
	Workers Scrapes
	Build   Build
	// Census is what slots leak, as fanout.Host.Census has it; nil leaves it out.
	Census func(maxAge time.Duration) *fanout.Census
	// Started is when brood started; zero is now.
	Started time.Time
	// Proc is where /proc is mounted; empty is /proc.
	Proc proc.FS
	// Cgroup is the root of the file system in which the control group is
	// looked for, at the first scrape; empty is "/".
	Cgroup cgroup.Root
	// Self is brood's own PID, the parent of all workers; 0 is os.Getpid.
	Self int
	// Seen, if set, is told what each scrape has found. It must not block, nor
	// keep the slice.
	Seen func([]Figures)
}

// Gatherer makes a page out of a Table, snapshots, /proc and the control group.
// It is a prometheus.TransactionalGatherer: between Gather and done the page
// belongs to the caller, and every other Gather waits. Use one Gatherer for a
// Table, and keep no done waiting for a network.
type Gatherer struct {
	options Options
	reader  *processReader
	unlock  func() // mu.Unlock, made once

	mu sync.Mutex
	*families
	brood      *broodSeries
	rows       map[int]*workerRow
	shared     workerLabels
	registered []*registeredRow // by index
	group      *cgroup.Group    // nil until the first scrape
	cgroup     *cgroupSeries
	scrapes    *scrapedSeries
	errors     [sourceCount]uint64
	full       bool           // of this scrape
	census     *fanout.Census // nil if it is not known
	seen       []Figures

	children   []int        // brood's, of this scrape
	known      map[int]bool // those whose stat was read by this scrape
	dead       int          // and that are zombies
	noChildren bool         // the kernel does not list them
	ownTicks   uint64       // brood's CPU time, as last seen
	goroutines func() int
}

var _ prometheus.TransactionalGatherer = (*Gatherer)(nil)

// New returns a Gatherer. It touches nothing before the first scrape but the
// descriptor directory of this process.
func New(o Options) *Gatherer {
	if o.Self == 0 {
		o.Self = os.Getpid()
	}
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	g := &Gatherer{options: o, reader: newProcessReader(o.Proc), goroutines: runtime.NumGoroutine}
	g.unlock = g.mu.Unlock
	return g
}

// Gather makes a page. The families are sorted by name, none is empty, and all
// of them may be read until done is called, once. The error is always nil: what
// cannot be read is left out and counted.
func (g *Gatherer) Gather() (page []*dto.MetricFamily, done func(), err error) {
	g.mu.Lock()
	complete := false
	defer func() {
		if !complete { // a panic: the next scrape begins anew
			g.mu.Unlock()
		}
	}()
	if g.families == nil {
		g.build()
	}
	g.clear()
	g.collect()
	page = g.filled()
	complete = true
	return page, g.unlock, nil
}

// build makes what every page has.
func (g *Gatherer) build() {
	f := newFamilies(timestamppb.New(g.options.Started))
	g.brood = newBroodSeries(f, g.options)
	g.cgroup = newCgroupSeries(f)
	g.scrapes = newScrapedSeries(f)
	g.shared = newWorkerLabels()
	g.rows = make(map[int]*workerRow)
	g.known = make(map[int]bool)
	g.families = f
}

func (g *Gatherer) collect() {
	clear(g.known)
	g.dead = 0
	var snapshot *fanout.Snapshot
	if g.options.Snapshot != nil {
		snapshot = g.options.Snapshot()
	}
	g.workers(snapshot)
	if g.options.Seen != nil {
		g.options.Seen(g.seen)
	}
	g.engine(snapshot)
	g.totals()
	g.self()
	g.zombies()
	g.controlGroup()
	g.scraped(snapshot)
	for i := range g.errors { // last, to tell of this scrape too
		g.brood.readErrors[i].put(float64(g.errors[i]))
	}
}
