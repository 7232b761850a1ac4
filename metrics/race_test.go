package metrics

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

// Workers live and die while several scrapers look, the last figures always
// coming after the process is gone. What each scraper sees must not fall.
func TestScrapesBesideEvents(t *testing.T) {
	const (
		workers      = 4
		incarnations = 30
		scrapers     = 3
	)
	f := newFakeProc(t)
	table := NewTable()
	table.bootTicks = func() uint64 { return 1 << 40 }
	g := newTestGatherer(t, f, "", Options{Table: table, Detail: Full})
	over := make(chan struct{})
	var all sync.WaitGroup
	for range scrapers {
		all.Go(func() {
			seen := readable{}
			for {
				page := scrape(t, g)
				for name, before := range seen {
					if now, ok := page[name]; !ok || now < before {
						t.Errorf("%s was %v and is %v", name, before, now)
					}
				}
				for name, now := range page {
					if strings.Contains(name, "_total") {
						seen[name] = now
					}
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	pid := 100
	for n := 1; n <= incarnations; n++ {
		for slot := 1; slot <= workers; slot++ {
			pid++
			s := proc.Stat{PID: pid, State: 'R', PPID: testSelf, Threads: 1, StartTicks: uint64(pid)}
			f.stat(s)
			start(table, slot, n, pid, began())
			for range 3 {
				s.UserTicks += 10
				f.stat(s)
			}
			f.remove(pid)
			table.Observe(began(), fanout.WorkerReady{Slot: slot, Incarnation: n, PID: pid})
			end(table, slot, n, statusOf(1), reaper.Usage{Stat: s}, fanout.ReasonFailed, began().Add(time.Second))
			table.Observe(began(), fanout.SignalReceived{Signal: 10})
		}
	}
	close(over)
	all.Wait()
	scrape(t, g).want(t, readable{
		`brood_worker_cpu_seconds_total{mode="user",worker="3"}`:        incarnations * 0.3,
		`brood_worker_exits_total{reason="failed",worker="4"}`:          incarnations,
		`brood_signals_received_total{signal="SIGUSR1"}`:                incarnations * workers,
		`brood_reaped_exit_codes_total{code="1"}`:                       incarnations * workers,
		`brood_worker_disk_io_bytes_total{direction="read",worker="1"}`: absent,
	})
}
