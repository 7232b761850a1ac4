package metrics

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

func statusOf(code int) reaper.Status { return reaper.Status{Code: code} }

func finalOf(pid int) reaper.Usage { return reaper.Usage{Stat: proc.Stat{PID: pid}} }

func TestEveryReasonAndStateOfTheEngineIsListed(t *testing.T) {
	if n := len(fanout.WorkerReasons()); n != reasonCount {
		t.Fatalf("workers end for %d reasons, and %d are counted", n, reasonCount)
	}
	// A reason that is not would count as failed.
	for _, reason := range exitReasons() {
		table := NewTable()
		start(table, 1, 1, 10, began())
		end(table, 1, 1, statusOf(1), finalOf(10), reason, began())
		g := newTestGatherer(t, newFakeProc(t), "", Options{Table: table})
		scrape(t, g).want(t, readable{`brood_worker_exits_total{reason="` + string(reason) + `",worker="1"}`: 1})
	}
	r := record{}
	r.exited(began(), fanout.WorkerExited{Reason: "new"})
	if r.exits[reasonIndex(fanout.ReasonFailed)] != 1 {
		t.Error("an exit for an unknown reason is lost")
	}
}

func TestAScrapeBetweenExitAndEvent(t *testing.T) {
	f := newFakeProc(t)
	table := NewTable()
	table.bootTicks = func() uint64 { return 500 }
	g := newTestGatherer(t, f, "", Options{Table: table, Detail: Full})
	cpu := func(user float64) readable {
		return readable{`brood_worker_cpu_seconds_total{mode="user",worker="1"}`: user}
	}
	worker := proc.Stat{PID: 10, State: 'S', PPID: testSelf, UserTicks: 100, Threads: 1, StartTicks: 400, ResidentPages: 5}
	rss := `brood_worker_resident_memory_bytes{worker="1"}`

	start(table, 1, 1, 10, began())
	scrape(t, g).want(t, readable{`brood_worker_cpu_seconds_total{mode="user",worker="1"}`: 0, rss: absent})

	f.stat(worker)
	page := scrape(t, g)
	page.want(t, cpu(1))
	page.want(t, readable{rss: 5 * testPages})

	worker.State, worker.UserTicks, worker.ResidentPages = 'Z', 150, 0
	f.stat(worker)
	page = scrape(t, g)
	page.want(t, cpu(1.5)) // the zombie still answers
	page.want(t, readable{rss: absent, `brood_worker_up{worker="1"}`: 1, `brood_worker_threads{worker="1"}`: absent})

	f.remove(10) // reaped
	scrape(t, g).want(t, cpu(1.5))

	f.stat(proc.Stat{PID: 10, State: 'R', PPID: testSelf, UserTicks: 9999, Threads: 1, StartTicks: 450, ResidentPages: 7})
	page = scrape(t, g) // another child of brood has got the number
	page.want(t, cpu(1.5))
	page.want(t, readable{rss: absent})

	end(table, 1, 1, statusOf(0), reaper.Usage{Stat: proc.Stat{PID: 10, UserTicks: 160, StartTicks: 400}}, fanout.ReasonFailed, began())
	page = scrape(t, g)
	page.want(t, cpu(1.6))
	page.want(t, readable{`brood_worker_up{worker="1"}`: 0, `brood_worker_pid{worker="1"}`: absent})
}

func TestAStrangerIsNeverTakenForANewWorker(t *testing.T) {
	for name, stranger := range map[string]proc.Stat{
		"a process of somebody else":    {PPID: 77, StartTicks: 400},
		"a child that started later on": {PPID: testSelf, StartTicks: 501},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeProc(t)
			table := NewTable()
			table.bootTicks = func() uint64 { return 500 }
			g := newTestGatherer(t, f, "", Options{Table: table, Detail: Full})
			start(table, 1, 1, 10, began())
			stranger.PID, stranger.State, stranger.UserTicks, stranger.Threads = 10, 'R', 9999, 1
			f.stat(stranger)
			f.io(10, 1<<40, 1<<40)
			scrape(t, g).want(t, readable{
				`brood_worker_cpu_seconds_total{mode="user",worker="1"}`:        0,
				`brood_worker_resident_memory_bytes{worker="1"}`:                absent,
				`brood_worker_disk_io_bytes_total{direction="read",worker="1"}`: absent,
			})
		})
	}
}

func TestFinalFiguresThatCouldNotBeRead(t *testing.T) {
	f := newFakeProc(t)
	table := NewTable()
	table.bootTicks = func() uint64 { return 500 }
	g := newTestGatherer(t, f, "", Options{Table: table})
	start(table, 1, 1, 10, began())
	f.stat(proc.Stat{PID: 10, State: 'S', PPID: testSelf, UserTicks: 100, Threads: 1, StartTicks: 400})
	scrape(t, g)
	end(table, 1, 1, statusOf(0), reaper.Usage{}, fanout.ReasonFailed, began())
	scrape(t, g).want(t, readable{`brood_worker_cpu_seconds_total{mode="user",worker="1"}`: 1})
}

// A scrape that has loaded a record before its process's exit was folded must
// not make the old and the new record disagree.
func TestALateReadingChangesNothing(t *testing.T) {
	p := &incarnation{number: 1}
	p.observe(usage{userTicks: 10})
	if base := p.retire(usage{userTicks: 12}); base.userTicks != 12 {
		t.Errorf("the base grows by %d, want 12", base.userTicks)
	}
	if late := p.observe(usage{userTicks: 99}); late.userTicks != 12 {
		t.Errorf("a late reading shows %d, want 12", late.userTicks)
	}
}

func TestFilesThatCannotBeReadCountOnceForEachProcess(t *testing.T) {
	f := newFakeProc(t)
	table := NewTable()
	table.bootTicks = func() uint64 { return 500 }
	g := newTestGatherer(t, f, "", Options{Table: table, Detail: Full})
	// brood's own figures cannot be read in this test either, each time.
	own := scrape(t, g)[`brood_proc_read_errors_total{file="stat"}`]
	if own != 1 {
		t.Errorf("brood's own stat counted %v times", own)
	}
	for pid := 10; pid < 12; pid++ {
		f.stat(proc.Stat{PID: pid, State: 'S', PPID: testSelf, Threads: 1, StartTicks: 400})
		f.noIO(pid)
		f.fds(pid, 1)
		f.limits(pid, 10)
		start(table, 1, pid-9, pid, began())
		scrape(t, g)
		scrape(t, g)
		end(table, 1, pid-9, statusOf(1), finalOf(pid), fanout.ReasonFailed, began())
	}
	scrape(t, g).want(t, readable{
		`brood_proc_read_errors_total{file="io"}`:                        2,
		`brood_proc_read_errors_total{file="limits"}`:                    0,
		`brood_worker_disk_io_bytes_total{direction="write",worker="1"}`: absent,
	})
}

func TestIOStaysOnThePageOnceItWasRead(t *testing.T) {
	f := newFakeProc(t)
	table := NewTable()
	table.bootTicks = func() uint64 { return 500 }
	g := newTestGatherer(t, f, "", Options{Table: table, Detail: Full})
	written := `brood_worker_disk_io_bytes_total{direction="write",worker="1"}`
	start(table, 1, 1, 10, began())
	f.stat(proc.Stat{PID: 10, State: 'S', PPID: testSelf, Threads: 1, StartTicks: 400})
	f.io(10, 0, 0)
	scrape(t, g).want(t, readable{written: 0})
	end(table, 1, 1, statusOf(1), finalOf(10), fanout.ReasonFailed, began())
	scrape(t, g).want(t, readable{written: 0})
}

func TestTwoProcessesInASlot(t *testing.T) {
	f := newFakeProc(t)
	table := NewTable()
	table.bootTicks = func() uint64 { return 500 }
	g := newTestGatherer(t, f, "", Options{Table: table, Detail: Full})
	for pid := 10; pid < 12; pid++ {
		f.stat(proc.Stat{PID: pid, State: 'S', PPID: testSelf, UserTicks: 100, Threads: pid, StartTicks: 400})
		table.Observe(began(), fanout.WorkerStarted{Slot: 1, Incarnation: pid - 9, PID: pid})
	}
	table.Observe(began(), fanout.WorkerReady{Slot: 1, Incarnation: 1, PID: 10})
	cpu, pid := `brood_worker_cpu_seconds_total{mode="user",worker="1"}`, `brood_worker_pid{worker="1"}`
	scrape(t, g).want(t, readable{cpu: 2, pid: 10, `brood_worker_threads{worker="1"}`: 10})
	table.Observe(began(), fanout.WorkerReady{Slot: 1, Incarnation: 2, PID: 11})
	scrape(t, g).want(t, readable{cpu: 2, pid: 11, `brood_worker_threads{worker="1"}`: 11})
	table.Observe(began(), fanout.WorkerExited{
		Slot: 1, Incarnation: 1, Reason: fanout.ReasonStopped,
		Exit: reaper.Exit{Final: reaper.Usage{Stat: proc.Stat{UserTicks: 130}}},
	})
	scrape(t, g).want(t, readable{cpu: 2.3, pid: 11, `brood_worker_up{worker="1"}`: 1})
}

func TestSlotsComeGoAndComeBack(t *testing.T) {
	table := NewTable()
	snapshot := &fanout.Snapshot{}
	g := newTestGatherer(t, newFakeProc(t), "", Options{Table: table, Snapshot: func() *fanout.Snapshot { return snapshot }})
	up, state, exits := `brood_worker_up{worker="2"}`, `brood_worker_state{state="starting",worker="2"}`,
		`brood_worker_exits_total{reason="stopped",worker="2"}`

	table.Observe(began(), fanout.SlotEntered{Slot: 2, To: fanout.SlotStarting})
	scrape(t, g).want(t, readable{up: 0, state: 1, exits: 0}) // newer than the snapshot

	snapshot = &fanout.Snapshot{Slots: []*fanout.SlotView{{Slot: 1}, {Slot: 2}}}
	table.Observe(began(), fanout.WorkerStarted{Slot: 2, Incarnation: 1, PID: 10})
	scrape(t, g).want(t, readable{up: 1, state: 1})

	snapshot = &fanout.Snapshot{Slots: []*fanout.SlotView{{Slot: 1}}}
	scrape(t, g).want(t, readable{up: 1}) // it has a process, whatever the snapshot says
	end(table, 2, 1, statusOf(0), finalOf(10), fanout.ReasonStopped, began())
	scrape(t, g).want(t, readable{up: absent, state: absent, exits: 1})

	table.Observe(began(), fanout.SlotEntered{Slot: 2, To: fanout.SlotStarting})
	scrape(t, g).want(t, readable{up: 0, state: 1, exits: 1})
}

func TestANumberThatIsTakenLeavesNoSeries(t *testing.T) {
	table := NewTable()
	g := newTestGatherer(t, newFakeProc(t), "", Options{Table: table})
	for slot := 1; slot <= 3; slot++ {
		table.Observe(began(), fanout.SlotEntered{Slot: slot, To: fanout.SlotStarting})
	}
	table.Observe(began(), fanout.SlotTaken{Slot: 2, PID: 5})
	table.Observe(began(), fanout.SlotTaken{Slot: 9, PID: 5})
	scrape(t, g).want(t, readable{`brood_worker_up{worker="1"}`: 0, `brood_worker_up{worker="2"}`: absent, `brood_worker_up{worker="3"}`: 0})
}

func TestSlotsInAnyOrder(t *testing.T) {
	table := NewTable()
	for _, slot := range []int{5, 1, 9, 3, 2} {
		table.Observe(began(), fanout.SlotEntered{Slot: slot, To: fanout.SlotStarting})
	}
	last := 0
	for _, c := range *table.slots.Load() {
		if c.slot <= last {
			t.Errorf("slot %d comes after %d", c.slot, last)
		}
		last = c.slot
	}
	if last != 9 {
		t.Errorf("the last slot is %d", last)
	}
}

func TestOnlyRestartsAreRestarts(t *testing.T) {
	table := NewTable()
	g := newTestGatherer(t, newFakeProc(t), "", Options{Table: table, Detail: Full})
	enter := func(from, to fanout.SlotState) {
		table.Observe(began(), fanout.SlotEntered{Slot: 1, From: from, To: to})
	}
	start(table, 1, 1, 10, began())
	enter(fanout.SlotReady, fanout.SlotBackoff)
	enter(fanout.SlotBackoff, fanout.SlotStarting)
	table.Observe(began(), fanout.WorkerStartFailed{Slot: 1, Err: syscall.EAGAIN})
	enter(fanout.SlotStarting, fanout.SlotFailed)
	enter(fanout.SlotFailed, fanout.SlotStarting)
	table.Observe(began(), fanout.WorkerStarted{Slot: 1, Incarnation: 2, PID: 11})
	table.Observe(began(), fanout.WorkerStarted{Slot: 1, Incarnation: 3, PID: 12}) // a reload's
	scrape(t, g).want(t, readable{
		`brood_worker_starts_total{worker="1"}`:         3,
		`brood_worker_restarts_total{worker="1"}`:       1,
		`brood_worker_start_failures_total{worker="1"}`: 1,
	})
}

func TestStopDurations(t *testing.T) {
	table := NewTable()
	for _, d := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 101 * time.Millisecond, 120 * time.Second, time.Hour} {
		table.stopTook(d)
	}
	s := table.stops.Load()
	if s.buckets != [stopBucketCount]uint64{0: 2, 1: 1, 9: 1} || s.count != 5 || s.sum < 3720.2 || s.sum > 3720.21 {
		t.Errorf("got %+v", s)
	}
}

func TestNumbersThatCannotBeAreIgnored(t *testing.T) {
	table := NewTable()
	for _, n := range []int{-1, 65, 1 << 20} {
		table.Observe(began(), fanout.SignalReceived{Signal: syscall.Signal(n)})
		table.Observe(began(), fanout.OrphansAdopted{Orphans: reaper.Orphans{Count: 1, Codes: map[int]int{n * 300: 1}, Signals: map[int]int{n: 1}}})
		table.Observe(began(), fanout.HookFinished{Hook: "new", Code: n})
	}
	scrape(t, newTestGatherer(t, newFakeProc(t), "", Options{Table: table})).want(t, readable{`brood_reaped_processes_total{kind="orphan"}`: 3})
}

// A finish hook that runs out of time is not waited for: nobody knows its code.
func TestHooksCountAsTheyEnded(t *testing.T) {
	table := NewTable()
	for _, ev := range []fanout.HookFinished{
		{Hook: fanout.KindPrepare},
		{Hook: fanout.KindExitHook, Code: 137},
		{Hook: fanout.KindExitHook, Code: 139, Signal: syscall.SIGSEGV},
		{Hook: fanout.KindExitHook, Code: 137, Signal: syscall.SIGKILL, TimedOut: true},
		{Hook: fanout.KindExitHook, Code: 127, Err: errors.New("it is not there")},
		{Hook: fanout.KindFinish, Code: fanout.CodeTimeout, TimedOut: true},
	} {
		table.Observe(began(), ev)
	}
	scrape(t, newTestGatherer(t, newFakeProc(t), "", Options{Table: table})).want(t, readable{
		`brood_reaped_processes_total{kind="hook"}`:                     5,
		`brood_reaped_exit_codes_total{code="0"}`:                       1,
		`brood_reaped_exit_codes_total{code="137"}`:                     1,
		`brood_reaped_exit_signals_total{signal="SIGSEGV"}`:             1,
		`brood_reaped_exit_signals_total{signal="SIGKILL"}`:             1,
		`brood_hook_runs_total{hook="on-worker-exit",result="timeout"}`: 1,
		`brood_hook_runs_total{hook="finish",result="timeout"}`:         1,
	})
}

func TestChangesAreCounted(t *testing.T) {
	table := NewTable()
	for _, ev := range []fanout.Event{
		fanout.Scaled{From: 1, To: 2, Cause: "asked"},
		fanout.Scaled{From: 2, To: 4, Cause: "limits"},
		fanout.Scaled{From: 4, To: 2, Cause: "limits"},
		fanout.ReloadEnded{},
		fanout.ReloadEnded{Err: errors.New("slot 2")},
		fanout.SlotReplaced{Slot: 1, Cause: fanout.CauseReload},
		fanout.SlotReplaced{Slot: 2, Cause: fanout.CauseAge},
		fanout.ReplacementFailed{Slot: 2, Cause: fanout.CauseReload},
		fanout.ProbeFailed{Slot: 1},
		fanout.ProbeEnded{Slot: 1, Exit: reaper.Exit{Status: reaper.Status{Code: 1}}},
	} {
		table.Observe(began(), ev)
	}
	page := scrape(t, newTestGatherer(t, newFakeProc(t), "", Options{Table: table}))
	for name, want := range map[string]float64{
		`brood_scalings_total{cause="asked"}`: 1, `brood_scalings_total{cause="limits"}`: 2,
		`brood_reloads_total{result="success"}`: 1, `brood_reloads_total{result="failure"}`: 1,
		`brood_replacements_total{cause="reload",result="success"}`: 1, `brood_replacements_total{cause="reload",result="failure"}`: 1,
		`brood_replacements_total{cause="max-age",result="success"}`: 1, `brood_replacements_total{cause="stuck",result="success"}`: 0,
		`brood_probe_failures_total`: 1, `brood_reaped_processes_total{kind="probe"}`: 1,
	} {
		if got, there := page[name]; got != want || !there {
			t.Errorf("%s is %v (%v), want %v", name, got, there, want)
		}
	}
}
