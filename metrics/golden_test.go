package metrics

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/metrics/scraping"
	"github.com/brood-init/brood/pidfiles"
	"github.com/brood-init/brood/reaper"
)

func update() bool { return flag.Lookup("update").Value.(flag.Getter).Get().(bool) }

// story is a brood with something of everything: worker 1 is in its second
// process, worker 2 is new and hides its io, worker 3 waits for a start, worker
// 4 was scaled down, and a zombie that nobody has asked for is there.
func story(tb testing.TB, fixture string, detail Detail) *Gatherer {
	tb.Helper()
	f := newFakeProc(tb)
	f.stat(proc.Stat{PID: 1, Comm: "brood", State: 'S', UserTicks: 7, SystemTicks: 5, Threads: 6, StartTicks: 10, VirtualBytes: 1 << 30, ResidentPages: 2200})
	f.fds(1, 5)
	f.write(1, "task/1/children", "11 12 ")
	f.write(1, "task/4/children", "30 41 ")
	f.stat(proc.Stat{
		PID: 11, Comm: "web worker)", State: 'R', PPID: 1, MinFaults: 900, MajFaults: 3, UserTicks: 150, SystemTicks: 50, Threads: 9,
		StartTicks: 600, VirtualBytes: 1 << 29, ResidentPages: 25600,
	})
	f.io(11, 4096, 12288)
	f.fds(11, 3)
	f.limits(11, 1024)
	f.stat(proc.Stat{PID: 12, Comm: "web", State: 'S', PPID: 1, MinFaults: 100, UserTicks: 1, Threads: 1, StartTicks: 700, VirtualBytes: 1 << 28, ResidentPages: 512})
	f.noIO(12)
	f.fds(12, 2)
	f.limits(12, 4096)
	f.stat(proc.Stat{PID: 30, Comm: "orphan", State: 'Z', PPID: 1, Threads: 1, StartTicks: 800})
	f.stat(proc.Stat{PID: 41, Comm: "helper", State: 'S', PPID: 1, UserTicks: 20, SystemTicks: 30, Threads: 2, StartTicks: 650, ResidentPages: 100})

	table := NewTable()
	table.bootTicks = func() uint64 { return 1000 }
	at := func(seconds float64) time.Time { return began().Add(time.Duration(seconds * float64(time.Second))) }

	table.Observe(at(0), fanout.PhaseEntered{Phase: fanout.PhasePreparing})
	table.Observe(at(0.5), fanout.HookFinished{Hook: fanout.KindPrepare, Duration: 500 * time.Millisecond})
	start(table, 1, 1, 10, at(1))
	table.Observe(at(2), fanout.WorkerReady{Slot: 1, Incarnation: 1, PID: 10})
	end(table, 1, 1, reaper.Status{Signal: syscall.SIGSEGV},
		reaper.Usage{Stat: proc.Stat{PID: 10, MinFaults: 1000, MajFaults: 7, UserTicks: 350, SystemTicks: 25}, ReadBytes: 8192, WriteBytes: 4096},
		fanout.ReasonSignaled, at(5))
	table.Observe(at(5), fanout.BackingOff{Slot: 1, Delay: 200 * time.Millisecond})
	table.Observe(at(5), fanout.HookFinished{Hook: fanout.KindExitHook, Slot: 1, Code: 137, TimedOut: true, Duration: 5 * time.Second})
	table.Observe(at(5), fanout.HookDropped{Slot: 1})
	start(table, 1, 2, 11, at(6))
	table.Observe(at(7.25), fanout.SlotEntered{Slot: 1, From: fanout.SlotStarting, To: fanout.SlotReady})
	table.Observe(at(7.25), fanout.WorkerReady{Slot: 1, Incarnation: 2, PID: 11})
	start(table, 2, 1, 12, at(7))

	table.Observe(at(7), fanout.SlotEntered{Slot: 3, To: fanout.SlotStarting})
	table.Observe(at(7), fanout.WorkerStartFailed{Slot: 3, Err: syscall.EAGAIN})
	table.Observe(at(7), fanout.SlotEntered{Slot: 3, From: fanout.SlotStarting, To: fanout.SlotBackoff})
	table.Observe(at(7), fanout.BackingOff{Slot: 3, Delay: 1500 * time.Millisecond})

	start(table, 4, 1, 13, at(7))
	table.Observe(at(8), fanout.WorkerExited{Slot: 4, Incarnation: 1, Reason: fanout.ReasonKilled, StopTook: 7 * time.Second, Exit: reaper.Exit{
		PID: 13, Status: reaper.Status{Signal: syscall.SIGKILL}, Final: reaper.Usage{Stat: proc.Stat{PID: 13, UserTicks: 11}},
	}})
	start(table, 5, 1, 14, at(8))
	table.Observe(at(8), fanout.SlotTaken{Slot: 6, PID: 99})

	table.Observe(at(9), fanout.SignalReceived{Signal: syscall.SIGUSR1, Action: fanout.ActionForward})
	table.Observe(at(9), fanout.SignalForwarded{Signal: syscall.SIGUSR1, Workers: 2})
	table.Observe(at(9), fanout.SignalReceived{Signal: 37, Action: fanout.ActionForward})
	table.Observe(at(9), fanout.SignalForwarded{Signal: 37, Workers: 2})
	table.Observe(at(9), fanout.OrphansAdopted{Orphans: reaper.Orphans{Count: 3, Codes: map[int]int{0: 1, 3: 1}, Signals: map[int]int{15: 1}}, Origins: fanout.Orphans{Slots: map[int]int{2: 1, 99: 1}, Hooks: 1}})
	table.Observe(at(9), fanout.PIDFileRefused{Err: &pidfiles.Problem{Path: "/run/brood/brood.9.pid", Kind: pidfiles.Malformed, Err: errors.New("no number")}})
	table.Observe(at(9), fanout.PIDFileRefused{Err: syscall.ENOSPC})
	table.Observe(at(9), fanout.Panicked{Value: "test"})
	table.answeredWith(200)

	// The snapshot has lost slot 4, and has not got slot 5 yet.
	first := &fanout.Snapshot{Slots: []*fanout.SlotView{{Slot: 1}, {Slot: 2}, {Slot: 3}, {Slot: 4}}}
	snapshots := []*fanout.Snapshot{first, {
		Phase: fanout.PhaseRunning, Wanted: 3, Ready: 1,
		Slots:      []*fanout.SlotView{{Slot: 1, Incarnation: 2, PID: 11}, {Slot: 2, Incarnation: 2, PID: 12}, {Slot: 3}},
		Registered: []fanout.RegisteredProcess{{Index: 0, PID: 41, Comm: "helper"}},
	}}
	g := newTestGatherer(tb, f, fixture, Options{
		Census: func(time.Duration) *fanout.Census {
			return &fanout.Census{Slots: map[int]fanout.Leaks{2: {Zombies: 2, Adopted: 1}, 99: {Zombies: 9}}}
		},
		Table: table, Detail: detail, Workers: toldScrapes{}, CountSource: func() cgroup.Source { return cgroup.SourceCgroup },
		Snapshot: func() *fanout.Snapshot {
			now := snapshots[0]
			if len(snapshots) > 1 {
				snapshots = snapshots[1:]
			}
			return now
		},
	})
	scrape(tb, g)
	return g
}

// toldScrapes is a round that has asked worker 1, and worker 2 when that was
// another process.
type toldScrapes struct{}

func (toldScrapes) Last() []scraping.Result {
	return []scraping.Result{
		{Slot: 1, Incarnation: 2, Up: true, Took: 250 * time.Millisecond, Samples: 40}, {Slot: 2, Incarnation: 1}, {Slot: 9, Incarnation: 1},
	}
}

func (toldScrapes) Failed() []uint64  { return []uint64{1, 2, 3, 4, 5} }
func (toldScrapes) Dropped() []uint64 { return []uint64{6, 7, 8} }

func TestPage(t *testing.T) {
	for name, c := range map[string]struct {
		fixture string
		detail  Detail
	}{
		"full":      {"usage-v2", Full},
		"short":     {"usage-v2", Short},
		"cgroup-v1": {"usage-v1", Short},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := WriteText(&got, story(t, c.fixture, c.detail)); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".prom", got.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update() {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it by: go test ./metrics -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); write it anew by go test ./metrics -update:\n%s", path, diff)
	}
}
