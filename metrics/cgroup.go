package metrics

import (
	"github.com/brood-init/brood/internal/cgroup"
)

// cgroupSeries are the control group's metrics.
type cgroupSeries struct {
	cpuLimit, cpuUsage, periods, throttledPeriods, throttledTime series
	memory, workingSet, peak, memoryLimit                        series
	events                                                       [cgroup.MemoryEvents]series
	pids, pidsLimit                                              series
	waiting, stalled                                             [cgroup.Resources]series
}

func newCgroupSeries(f *families) *cgroupSeries {
	s := &cgroupSeries{
		cpuLimit: f.series(cgroupCPULimit), cpuUsage: f.series(cgroupCPUUsage),
		periods: f.series(cgroupPeriods), throttledPeriods: f.series(cgroupThrottledPeriods),
		throttledTime: f.series(cgroupThrottledTime),
		memory:        f.series(cgroupMemory), workingSet: f.series(cgroupWorkingSet),
		peak: f.series(cgroupMemoryPeak), memoryLimit: f.series(cgroupMemoryLimit),
		pids: f.series(cgroupPIDs), pidsLimit: f.series(cgroupPIDsLimit),
		waiting: [...]series{f.series(cgroupCPUWaiting), f.series(cgroupMemoryWaiting), f.series(cgroupIOWaiting)},
		stalled: [...]series{f.series(cgroupCPUStalled), f.series(cgroupMemoryStalled), f.series(cgroupIOStalled)},
	}
	f.enumerated(s.events[:], cgroupMemoryEvents, values(cgroupMemoryEvents, "event"))
	return s
}

// controlGroup puts the limits and the use of brood's control group. Where it
// is, is found out at the first scrape: brood's start is no time for that.
func (g *Gatherer) controlGroup() {
	if g.group == nil {
		group, err := cgroup.Locate(g.options.Cgroup)
		g.failedOnce(err)
		g.group = group
	}
	limits, err := g.group.Limits()
	g.failedOnce(err)
	usage, err := g.group.Usage()
	g.failedOnce(err)

	s := g.cgroup
	s.cpuLimit.putIf(limits.Quota > 0, limits.Quota)
	s.memoryLimit.putIf(limits.Memory > 0, float64(limits.Memory))
	s.pidsLimit.putIf(limits.PIDs > 0, float64(limits.PIDs))

	const nanoseconds, microseconds = 1e9, 1e6
	s.cpuUsage.putAmount(usage.CPUTime, nanoseconds)
	s.periods.putAmount(usage.Periods, 1)
	s.throttledPeriods.putAmount(usage.ThrottledPeriods, 1)
	s.throttledTime.putAmount(usage.ThrottledTime, nanoseconds)
	s.memory.putAmount(usage.Memory, 1)
	s.workingSet.putAmount(usage.WorkingSet(), 1)
	s.peak.putAmount(usage.MemoryPeak, 1)
	for i := range s.events {
		s.events[i].putAmount(usage.Events[i], 1)
	}
	s.pids.putAmount(usage.PIDs, 1)
	for i := range s.waiting {
		s.waiting[i].putAmount(usage.Pressure[i].Some, microseconds)
		s.stalled[i].putAmount(usage.Pressure[i].Full, microseconds)
	}
}

// failedOnce counts one error for all files of a read.
func (g *Gatherer) failedOnce(err error) {
	if err != nil {
		g.errors[sourceCgroup]++
	}
}

// putAmount puts a known amount, in base units of which per make one.
func (s *series) putAmount(a cgroup.Amount, per float64) { s.putIf(a.Known, float64(a.N)/per) }
