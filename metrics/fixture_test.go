package metrics

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

// fakeProc is a /proc made of files.
type fakeProc struct {
	tb  testing.TB
	dir string
}

func newFakeProc(tb testing.TB) fakeProc { return fakeProc{tb, tb.TempDir()} }

func (f fakeProc) write(pid int, name, text string) {
	f.tb.Helper()
	path := filepath.Join(f.dir, strconv.Itoa(pid), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.tb.Fatal(err)
	}
	// Renamed into place: a reader sees the old text or the new one.
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		f.tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.tb.Fatal(err)
	}
}

func (f fakeProc) stat(s proc.Stat) {
	f.tb.Helper()
	f.write(s.PID, "stat", fmt.Sprintf("%d (%s) %c %d %d %d 0 -1 4194304 %d 777 %d 778 %d %d 779 780 20 0 %d 0 %d %d %d 0\n",
		s.PID, s.Comm, s.State, s.PPID, s.PID, s.PID, s.MinFaults, s.MajFaults, s.UserTicks, s.SystemTicks,
		s.Threads, s.StartTicks, s.VirtualBytes, s.ResidentPages))
}

func (f fakeProc) io(pid int, read, written uint64) {
	f.tb.Helper()
	f.write(pid, "io", fmt.Sprintf("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: %d\nwrite_bytes: %d\ncancelled_write_bytes: 0\n",
		read, written))
}

// noIO makes io a file that cannot be read, for root neither.
func (f fakeProc) noIO(pid int) {
	f.tb.Helper()
	path := filepath.Join(f.dir, strconv.Itoa(pid), "io")
	_ = os.Remove(path)
	if err := os.MkdirAll(path, 0o755); err != nil {
		f.tb.Fatal(err)
	}
}

func (f fakeProc) fds(pid, n int) {
	f.tb.Helper()
	for i := range n {
		f.write(pid, "fd/"+strconv.Itoa(i), "")
	}
}

func (f fakeProc) limits(pid, files int) {
	f.tb.Helper()
	f.write(pid, "limits", fmt.Sprintf("Limit                     Soft Limit           Hard Limit           Units     \n"+
		"Max cpu time              unlimited            unlimited            seconds   \n"+
		"Max open files            %-20d %-20d files     \n"+
		"Max nice priority         0                    0                    \n", files, 2*files))
}

func (f fakeProc) remove(pid int) {
	f.tb.Helper()
	if err := os.RemoveAll(filepath.Join(f.dir, strconv.Itoa(pid))); err != nil {
		f.tb.Fatal(err)
	}
}

const (
	testSelf  = 1
	testPages = 4096
)

// began is when the brood of the tests was started.
func began() time.Time { return time.Unix(1_700_000_000, 0) }

// newTestGatherer reads from f. The cgroup fixture is one of the cgroup
// package, or empty for none.
func newTestGatherer(tb testing.TB, f fakeProc, fixture string, o Options) *Gatherer {
	tb.Helper()
	o.Proc, o.Self, o.Started = proc.FS(f.dir), testSelf, began()
	o.Cgroup = unpack(tb, fixture)
	o.Build = Build{Version: "0.1.0", Revision: "c0ffee", Go: "go1.26.8"}
	g := New(o)
	g.reader.pageBytes = testPages
	g.goroutines = func() int { return 21 }
	return g
}

// unpack turns a fixture of the cgroup package into a tree of files.
func unpack(tb testing.TB, name string) cgroup.Root {
	tb.Helper()
	root := tb.TempDir()
	if name == "" {
		return cgroup.Root(root)
	}
	text, err := os.ReadFile(filepath.Join("..", "internal", "cgroup", "testdata", name+".txt"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, part := range strings.Split("\n"+string(text), "\n-- ")[1:] {
		path, content, _ := strings.Cut(part, " --\n")
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.TrimSuffix(content, "\n")+"\n"), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return cgroup.Root(root)
}

// readable is what a page says, by series: NAME{label="value",...}.
type readable map[string]float64

func scrape(tb testing.TB, g *Gatherer) readable {
	tb.Helper()
	families, done, err := g.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	defer done()
	page := readable{}
	for _, mf := range families {
		for _, m := range mf.Metric {
			page.add(tb, mf, m)
		}
	}
	return page
}

func (p readable) add(tb testing.TB, mf *dto.MetricFamily, m *dto.Metric) {
	name := mf.GetName()
	var labels []string
	for _, l := range m.Label {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	if _, twice := p[name]; twice {
		tb.Errorf("%s is on the page twice", name)
	}
	switch mf.GetType() {
	case dto.MetricType_COUNTER:
		p[name] = m.GetCounter().GetValue()
	case dto.MetricType_GAUGE:
		p[name] = m.GetGauge().GetValue()
	case dto.MetricType_HISTOGRAM:
		p[name] = float64(m.GetHistogram().GetSampleCount())
	}
}

// want compares some series; -1 is one that must be absent.
func (p readable) want(tb testing.TB, want readable) {
	tb.Helper()
	for name, value := range want {
		got, ok := p[name]
		switch {
		case value == absent && ok:
			tb.Errorf("%s is %v, and should be absent", name, got)
		case value != absent && (!ok || got != value):
			tb.Errorf("%s is %v (there: %v), want %v", name, got, ok, value)
		}
	}
}

const absent = -1

// start and end tell a table of a worker's life.
func start(t *Table, slot, incarnation, pid int, at time.Time) {
	from := fanout.SlotState("")
	if incarnation > 1 {
		from = fanout.SlotBackoff
	}
	t.Observe(at, fanout.SlotEntered{Slot: slot, From: from, To: fanout.SlotStarting})
	t.Observe(at, fanout.WorkerStarted{Slot: slot, Incarnation: incarnation, PID: pid})
}

func end(t *Table, slot, incarnation int, status reaper.Status, final reaper.Usage, reason fanout.Reason, at time.Time) {
	t.Observe(at, fanout.WorkerExited{
		Slot: slot, Incarnation: incarnation, Reason: reason,
		Exit: reaper.Exit{PID: final.PID, Status: status, Final: final, At: at},
	})
	t.Observe(at, fanout.SlotEntered{Slot: slot, From: fanout.SlotReady, To: fanout.SlotBackoff})
}
