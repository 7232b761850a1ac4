package metrics

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
)

// Workers burn some CPU and fail, again and again, while they are scraped as
// fast as possible. Nothing may fall, and in the end the page has exactly what
// the reaper has read from the zombies.
func TestRealProcesses(t *testing.T) {
	const workers, ends = 2, 4
	host, err := fanout.NewHost(fanout.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	defer signal.Stop(child)
	stop, reaped := make(chan struct{}), make(chan struct{})
	go func() {
		host.Reap(child, stop)
		close(reaped)
	}()
	defer func() { close(stop); <-reaped }()

	table := NewTable()
	finals := map[int]usage{} // the engine's goroutine only, until it is done
	exits := 0
	engine := fanout.New(fanout.Plan{
		Command:     []string{"/bin/sh", "-c", "trap 'exit 0' TERM; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3"},
		Count:       workers,
		ReadyAfter:  time.Millisecond,
		Restart:     fanout.RestartAlways,
		Backoff:     fanout.Backoff{Min: time.Millisecond, Max: 2 * time.Millisecond},
		MaxRestarts: fanout.CrashBudget{Failures: 1 << 20, Window: time.Hour},
		Stop:        fanout.NewSchedule(20*time.Second, 0, 0),
		Signals:     fanout.SignalTable{syscall.SIGTERM: {Kind: fanout.ActionStop}},
	}, host, host.Inputs(), table.Observe, func(_ time.Time, ev fanout.Event) {
		if x, ok := ev.(fanout.WorkerExited); ok {
			exits++
			sum := finals[x.Slot]
			sum.add(final(x.Final))
			finals[x.Slot] = sum
		}
	})
	ended := make(chan fanout.Outcome, 1)
	go func() { ended <- engine.Run() }()

	g := New(Options{Table: table, Detail: Full, Snapshot: engine.Snapshot})
	seen := readable{}
	look := func() readable {
		page := scrape(t, g)
		for name, before := range seen {
			if now, ok := page[name]; !ok || now < before {
				t.Errorf("%s was %v and is %v (there: %v)", name, before, now, ok)
			}
		}
		for name, now := range page {
			if strings.Contains(name, "_total") {
				seen[name] = now
			}
		}
		return page
	}
	failed := func(page readable) float64 {
		return min(page[`brood_worker_exits_total{reason="failed",worker="1"}`], page[`brood_worker_exits_total{reason="failed",worker="2"}`])
	}
	scrapes := 1
	page := look()
	for ; failed(page) < ends && !t.Failed(); page = look() {
		scrapes++
	}
	if page["brood_workers_desired"] != workers || page[`brood_state{state="running"}`] != 1 {
		t.Error("the snapshot is not on the page")
	}
	host.Send(fanout.SignalArrived{Signal: syscall.SIGTERM})
	for running := true; running; look() {
		select {
		case <-ended:
			running = false
		default:
		}
	}
	page = look()
	for slot, label := range map[int]string{1: `worker="1"`, 2: `worker="2"`} {
		want := finals[slot]
		page.want(t, readable{
			`brood_worker_cpu_seconds_total{mode="user",` + label + `}`:   float64(want.userTicks) / 100,
			`brood_worker_cpu_seconds_total{mode="system",` + label + `}`: float64(want.systemTicks) / 100,
			`brood_worker_page_faults_total{type="minor",` + label + `}`:  float64(want.minFaults),
			`brood_worker_up{` + label + `}`:                              0,
			`brood_worker_resident_memory_bytes{` + label + `}`:           absent,
		})
		if want.minFaults == 0 {
			t.Errorf("slot %d: the reaper has read nothing", slot)
		}
	}
	if n := page["brood_process_goroutines"]; n < 2 {
		t.Errorf("%v goroutines are too few", n)
	}
	page.want(t, readable{`brood_reaped_processes_total{kind="worker"}`: float64(exits), "brood_zombies": 0, `brood_state{state="done"}`: 1})
	t.Logf("%d exits, %d scrapes", exits, scrapes)
}
