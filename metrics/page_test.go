package metrics

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
)

// plain is a gatherer for readers that know no transactions: for one goroutine.
func plain(g prometheus.TransactionalGatherer) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, done, err := g.Gather()
		done()
		return families, err
	})
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(plain(story(t, "usage-v2", Full)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		missing(t, "promtool is not there (Debian: prometheus)")
	}
	var page bytes.Buffer
	if err := WriteText(&page, story(t, "usage-v2", Full)); err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = &page
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

func TestTheTableAndThePageAgree(t *testing.T) {
	families, done, err := story(t, "usage-v2", Full).Gather()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	onPage := map[string]*dto.MetricFamily{}
	for _, mf := range families {
		onPage[mf.GetName()] = mf
	}
	// Psi has no line for io in the fixture.
	none := []string{"brood_cgroup_pressure_io_stalled_seconds_total", "brood_cgroup_pressure_io_waiting_seconds_total"}
	for _, d := range Descriptors() {
		mf := onPage[d.Name]
		delete(onPage, d.Name)
		switch {
		case d.Name == "" || d.Help == "" || d.Source == "":
			t.Errorf("a descriptor is incomplete: %+v", d)
			continue
		case mf == nil && !slices.Contains(none, d.Name):
			t.Errorf("%s is described and not on the page", d.Name)
			continue
		case mf == nil:
			continue
		}
		if got := strings.ToLower(mf.GetType().String()); got != string(d.Type) || mf.GetHelp() != d.Help {
			t.Errorf("%s is a %s, %q", d.Name, got, mf.GetHelp())
		}
		want := []string{}
		for _, l := range d.Labels {
			want = append(want, l.Name)
		}
		slices.Sort(want)
		for _, m := range mf.Metric {
			names := []string{}
			for _, l := range m.Label {
				names = append(names, l.GetName())
			}
			if !slices.Equal(names, want) {
				t.Errorf("%s has labels %v, want %v in this order", d.Name, names, want)
			}
		}
	}
	for name := range onPage {
		t.Errorf("%s is on the page and not described", name)
	}
}

func TestFamiliesAreSortedAndNoneIsEmpty(t *testing.T) {
	g := newTestGatherer(t, newFakeProc(t), "", Options{Table: NewTable()})
	for range 2 {
		families, done, err := g.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for i, mf := range families {
			if len(mf.Metric) == 0 {
				t.Errorf("%s is empty", mf.GetName())
			}
			if i > 0 && families[i-1].GetName() >= mf.GetName() {
				t.Errorf("%s comes before %s", families[i-1].GetName(), mf.GetName())
			}
		}
		done()
	}
}

func TestEnumerationsAreThereFromTheStart(t *testing.T) {
	f := newFakeProc(t)
	table := NewTable()
	g := newTestGatherer(t, f, "", Options{Table: table, Workers: toldScrapes{}, Snapshot: func() *fanout.Snapshot { return &fanout.Snapshot{} }})
	start(table, 1, 1, 10, began())
	f.stat(proc.Stat{PID: 10, State: 'S', PPID: testSelf, Threads: 1, StartTicks: 1})
	f.io(10, 0, 0)
	page := scrape(t, g)
	for _, d := range Descriptors() {
		if strings.HasPrefix(d.Name, "brood_registered_") || strings.HasPrefix(d.Name, "brood_cgroup_") || d.Type != Counter {
			continue
		}
		for _, l := range d.Labels {
			for _, v := range l.Values {
				pattern := regexp.MustCompile("^" + d.Name + `\{.*` + l.Name + `="` + v + `"`)
				if !slices.ContainsFunc(keys(page), pattern.MatchString) {
					t.Errorf("%s has no %s=%q", d.Name, l.Name, v)
				}
			}
		}
	}
}

func keys(page readable) []string {
	all := make([]string, 0, len(page))
	for name := range page {
		all = append(all, name)
	}
	return all
}

func TestNoLabelIsOrHoldsAPID(t *testing.T) {
	for _, d := range Descriptors() {
		for _, l := range d.Labels {
			if regexp.MustCompile(`(?i)pid|process|tid$|comm|path|url`).MatchString(l.Name) {
				t.Errorf("%s has the label %s", d.Name, l.Name)
			}
		}
	}
	// Six digits are in no other number of the story.
	f := newFakeProc(t)
	table := NewTable()
	f.stat(proc.Stat{PID: 777777, State: 'S', PPID: testSelf, Threads: 1, StartTicks: 1})
	start(table, 1, 1, 777777, began())
	g := newTestGatherer(t, f, "", Options{Table: table, Snapshot: func() *fanout.Snapshot {
		return &fanout.Snapshot{Registered: []fanout.RegisteredProcess{{Index: 9, PID: 777777, Comm: "secret"}}}
	}})
	for name := range scrape(t, g) {
		if strings.Contains(name, "777777") || strings.Contains(name, "secret") {
			t.Error(name)
		}
	}
}

// The number of series is what a page costs those who keep it.
func TestSeriesOfABroodStayBounded(t *testing.T) {
	for _, c := range []struct{ workers, restarts, most int }{{8, 0, 400}, {8, 50, 420}, {64, 0, 2400}, {129, 0, 2600}} {
		t.Run(fmt.Sprintf("%d workers, %d restarts", c.workers, c.restarts), func(t *testing.T) {
			f := newFakeProc(t)
			table := NewTable()
			table.bootTicks = func() uint64 { return 100 }
			g := newTestGatherer(t, f, "usage-v2", Options{Table: table, Snapshot: func() *fanout.Snapshot { return &fanout.Snapshot{} }})
			pid := 100
			for slot := 1; slot <= c.workers; slot++ {
				for n := 1; n <= c.restarts+1; n++ {
					pid++
					if n > 1 {
						f.remove(pid - 1)
					}
					f.stat(proc.Stat{PID: pid, State: 'S', PPID: testSelf, Threads: 1, StartTicks: 1})
					f.io(pid, 1, 1)
					f.fds(pid, 1)
					f.limits(pid, 9)
					start(table, slot, n, pid, began())
					table.Observe(began(), fanout.WorkerReady{Slot: slot, Incarnation: n, PID: pid})
					if n <= c.restarts {
						end(table, slot, n, statusOf(n%256), finalOf(pid), fanout.ReasonFailed, began().Add(time.Second))
					}
				}
			}
			most := c.most
			if c.restarts > 0 {
				most += c.restarts // exit codes, of which there are 256
			}
			if n := len(scrape(t, g)); n > most || n < c.workers*19 {
				t.Errorf("%d series, want at most %d", n, most)
			} else {
				t.Logf("%d series", n)
			}
		})
	}
}
