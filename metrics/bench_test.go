package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
)

// realBrood is a brood whose workers are this process, as many times as wanted:
// the kernel does the same work for each, and no machine is needed for 1000.
func realBrood(tb testing.TB, workers int, detail Detail) (*Gatherer, *Table) {
	tb.Helper()
	self, err := proc.FS("").Stat(os.Getpid())
	if err != nil {
		tb.Fatal(err)
	}
	table := NewTable()
	snapshot := &fanout.Snapshot{Phase: fanout.PhaseRunning, Wanted: workers}
	for slot := 1; slot <= workers; slot++ {
		start(table, slot, 1, os.Getpid(), began())
		snapshot.Slots = append(snapshot.Slots, &fanout.SlotView{Slot: slot})
	}
	// The parent of the workers is then this process's own.
	return New(Options{Table: table, Detail: detail, Self: self.PPID, Snapshot: func() *fanout.Snapshot { return snapshot }}), table
}

// discard is a client who reads everything at once.
type discard struct {
	header http.Header
	code   int
	bytes  int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(c int)   { d.code = c }
func (d *discard) Write(b []byte) (int, error) {
	d.bytes += len(b)
	return len(b), nil
}

func BenchmarkScrape(b *testing.B) {
	for _, workers := range []int{1, 8, 64, 1000} {
		for _, encoding := range []string{"identity", "gzip"} {
			b.Run(fmt.Sprintf("%d/%s", workers, encoding), func(b *testing.B) {
				g, table := realBrood(b, workers, Auto)
				h := Handler(g, HandlerOptions{Table: table})
				r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
				r.Header.Set("Accept-Encoding", encoding)
				w := &discard{header: http.Header{}}
				h.ServeHTTP(w, r)
				w.bytes = 0
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					h.ServeHTTP(w, r)
					n++
				}
				b.ReportMetric(float64(w.bytes)/float64(n), "page-B")
			})
		}
	}
}

func BenchmarkGather(b *testing.B) {
	for _, c := range []struct {
		workers int
		detail  Detail
	}{{1, Full}, {8, Full}, {64, Full}, {1000, Short}, {1000, Full}} {
		b.Run(fmt.Sprintf("%d/%s", c.workers, c.detail), func(b *testing.B) {
			g, _ := realBrood(b, c.workers, c.detail)
			b.ReportAllocs()
			for b.Loop() {
				_, done, _ := g.Gather()
				done()
			}
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	table := NewTable()
	b.ReportAllocs()
	for b.Loop() {
		start(table, 1, 1, 10, began())
		end(table, 1, 1, statusOf(1), finalOf(10), fanout.ReasonFailed, began())
	}
}

// A scrape of 1000 workers makes at most 1 MB of garbage, encoding included.
func TestAScrapeMakesLittleGarbage(t *testing.T) {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector moves what is on the stack")
	}
	for _, c := range []struct {
		workers int
		most    uint64
	}{{8, 100 << 10}, {1000, 1 << 20}} {
		g, table := realBrood(t, c.workers, Auto)
		h := Handler(g, HandlerOptions{Table: table})
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		w := &discard{header: http.Header{}}
		for range 3 { // what the first scrape makes is used again
			h.ServeHTTP(w, r)
		}
		const scrapes = 10
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range scrapes {
			h.ServeHTTP(w, r)
		}
		runtime.ReadMemStats(&after)
		if bytes := (after.TotalAlloc - before.TotalAlloc) / scrapes; bytes > c.most {
			t.Errorf("%d workers: %d bytes a scrape, want at most %d", c.workers, bytes, c.most)
		} else {
			t.Logf("%d workers: %d bytes a scrape", c.workers, bytes)
		}
	}
}

// sleepers starts n real children.
func sleepers(tb testing.TB, n int) (pids []int) {
	tb.Helper()
	for range n {
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			_ = c.Process.Kill()
			_ = c.Wait()
		})
		pids = append(pids, c.Process.Pid)
	}
	return pids
}

// BenchmarkScrapeOfChildren has 1000 different processes, whose directories the
// kernel has to find, and brood's list of children.
func BenchmarkScrapeOfChildren(b *testing.B) {
	if testing.Short() {
		b.Skip("starts 1000 processes")
	}
	table := NewTable()
	for i, pid := range sleepers(b, 1000) {
		start(table, i+1, 1, pid, began())
	}
	h := Handler(New(Options{Table: table}), HandlerOptions{})
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if page := w.Body.String(); strings.Count(page, "brood_worker_resident_memory_bytes{") != 1000 ||
		!strings.Contains(page, "brood_zombies 0\n") {
		b.Fatal("not all children are on the page")
	}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}
