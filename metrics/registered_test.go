package metrics

import (
	"testing"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
)

func TestRegisteredProcesses(t *testing.T) {
	f := newFakeProc(t)
	now := &fanout.Snapshot{}
	g := newTestGatherer(t, f, "", Options{Table: NewTable(), Snapshot: func() *fanout.Snapshot { return now }})
	list := func(all ...fanout.RegisteredProcess) { now = &fanout.Snapshot{Registered: all} }
	process := func(pid int, start, ticks uint64) {
		f.stat(proc.Stat{PID: pid, State: 'S', Threads: 1, StartTicks: start, UserTicks: ticks, ResidentPages: 10})
	}
	cpu, rss := `brood_registered_cpu_seconds_total{index="0",mode="user"}`, `brood_registered_resident_memory_bytes{index="0"}`
	first, second := fanout.RegisteredProcess{Index: 0, PID: 10}, fanout.RegisteredProcess{Index: 0, PID: 11}

	scrape(t, g).want(t, readable{"brood_registered_processes": 0, cpu: absent})
	process(10, 5, 100)
	process(11, 6, 50)
	list(first)
	scrape(t, g).want(t, readable{"brood_registered_processes": 1, cpu: 1, rss: 10 * testPages})
	list(first, second) // one drains, the other has taken its file
	scrape(t, g).want(t, readable{"brood_registered_processes": 2, cpu: 1.5, rss: 20 * testPages})
	process(10, 99, 10000) // a stranger
	scrape(t, g).want(t, readable{cpu: 1.5, rss: 10 * testPages})
	list(second)
	scrape(t, g).want(t, readable{cpu: 1.5, rss: 10 * testPages})
	list()
	scrape(t, g).want(t, readable{"brood_registered_processes": 0, cpu: absent, rss: absent})
	process(11, 200, 1)
	list(second) // registered anew, another process
	scrape(t, g).want(t, readable{cpu: 1.51})
}

func TestIndicesAreBounded(t *testing.T) {
	now := &fanout.Snapshot{}
	for i := range 2 * maxRegistered {
		now.Registered = append(now.Registered, fanout.RegisteredProcess{Index: 1000 + i, PID: 10})
	}
	g := newTestGatherer(t, newFakeProc(t), "", Options{Table: NewTable(), Snapshot: func() *fanout.Snapshot { return now }})
	scrape(t, g).want(t, readable{
		"brood_registered_processes":                                   2 * maxRegistered,
		`brood_registered_cpu_seconds_total{index="1127",mode="user"}`: 0,
		`brood_registered_cpu_seconds_total{index="1128",mode="user"}`: absent,
	})
}
