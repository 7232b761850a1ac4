package cgroup

import (
	"math"
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	const gib = 1 << 30
	quota := func(q float64, affinity int) Limits {
		return Limits{Affinity: affinity, Quota: q, QuotaPath: "/cg/cpu.max"}
	}
	for name, c := range map[string]struct {
		in      CountInput
		n       int
		source  Source
		reason  string
		path    string
		warning string // a part of it; empty = none
	}{
		"a number is a number": {
			in: CountInput{Requested: 40, Limits: quota(2, 2), Max: 3},
			n:  40, source: SourceRequested, reason: "processes=40 source=requested",
		},
		"zero is a number": {
			in: CountInput{Requested: 0, Min: 3},
			n:  0, source: SourceRequested, reason: "processes=0 source=requested",
		},
		"any negative number is auto": {
			in: CountInput{Requested: -7, Limits: quota(2.5, 64)},
			n:  3, source: SourceCgroup, reason: "processes=3 source=cgroup quota=2.5 affinity=64", path: "/cg/cpu.max",
		},
		"a part of a CPU is one worker": {
			in: CountInput{Requested: Auto, Limits: quota(0.05, 8)},
			n:  1, source: SourceCgroup, reason: "processes=1 source=cgroup quota=0.05 affinity=8", path: "/cg/cpu.max",
		},
		"a whole quota stays whole": {
			in: CountInput{Requested: Auto, Limits: quota(2, 8)},
			n:  2, source: SourceCgroup, reason: "processes=2 source=cgroup quota=2 affinity=8", path: "/cg/cpu.max",
		},
		"a rounding error is no third CPU": {
			in: CountInput{Requested: Auto, Limits: quota(2.0000001, 8)},
			n:  2, source: SourceCgroup, reason: "processes=2 source=cgroup quota=2 affinity=8", path: "/cg/cpu.max",
		},
		"a thousandth of a CPU is": {
			in: CountInput{Requested: Auto, Limits: quota(2.001, 8)},
			n:  3, source: SourceCgroup, reason: "processes=3 source=cgroup quota=2.001 affinity=8", path: "/cg/cpu.max",
		},
		"a quota above the affinity decides nothing": {
			in: CountInput{Requested: Auto, Limits: quota(6, 4)},
			n:  4, source: SourceAffinity, reason: "processes=4 source=affinity quota=6 affinity=4",
		},
		"a quota that rounds up to the affinity decides nothing": {
			in: CountInput{Requested: Auto, Limits: quota(1.5, 2)},
			n:  2, source: SourceAffinity, reason: "processes=2 source=affinity quota=1.5 affinity=2",
		},
		"eight CPUs without a quota are fine": {
			in: CountInput{Requested: Auto, Limits: quota(0, 8)},
			n:  8, source: SourceAffinity, reason: "processes=8 source=affinity affinity=8",
		},
		"nine CPUs without a quota are warned about": {
			in: CountInput{Requested: Auto, Limits: quota(0, 9)},
			n:  9, source: SourceAffinity, reason: "processes=9 source=affinity affinity=9",
			warning: "set --processes or --max-processes, or a CPU limit",
		},
		"nine CPUs with a quota are not": {
			in: CountInput{Requested: Auto, Limits: quota(100, 9)},
			n:  9, source: SourceAffinity, reason: "processes=9 source=affinity quota=100 affinity=9",
		},
		"nor with a maximum": {
			in: CountInput{Requested: Auto, Limits: quota(0, 9), Max: 20},
			n:  9, source: SourceAffinity, reason: "processes=9 source=affinity affinity=9",
		},
		"nothing known is one worker": {
			in: CountInput{Requested: Auto},
			n:  1, source: SourceAffinity, reason: "processes=1 source=affinity",
		},
		"no mask leaves the quota": {
			in: CountInput{Requested: Auto, Limits: quota(3.5, 0)},
			n:  4, source: SourceCgroup, reason: "processes=4 source=cgroup quota=3.5", path: "/cg/cpu.max",
		},
		"no mask and an absurd quota stay within what Linux can be": {
			in: CountInput{Requested: Auto, Limits: quota(1e12, 0)},
			n:  8192, source: SourceCgroup, reason: "processes=8192 source=cgroup quota=1000000000000", path: "/cg/cpu.max",
		},

		"memory holds fewer": {
			in: CountInput{
				Requested: Auto, MemoryPerProcess: 300 << 20,
				Limits: Limits{Affinity: 8, Memory: gib, MemoryPath: "/cg/memory.max"},
			},
			n: 3, source: SourceMemory, path: "/cg/memory.max",
			reason: "processes=3 source=memory affinity=8 memory=1073741824 memory_per_process=314572800",
		},
		"memory holds more": {
			in: CountInput{Requested: Auto, MemoryPerProcess: 1 << 20, Limits: Limits{Affinity: 8, Memory: gib}},
			n:  8, source: SourceAffinity, reason: "processes=8 source=affinity affinity=8",
		},
		"memory holds none": {
			in: CountInput{
				Requested: Auto, MemoryPerProcess: 2 * gib,
				Limits: Limits{Affinity: 8, Memory: gib, MemoryPath: "/cg/memory.max"},
			},
			n: 1, source: SourceMemory, path: "/cg/memory.max", warning: "lower --memory-per-process",
			reason: "processes=1 source=memory affinity=8 memory=1073741824 memory_per_process=2147483648",
		},
		"memory is unlimited": {
			in: CountInput{Requested: Auto, MemoryPerProcess: gib, Limits: Limits{Affinity: 8}},
			n:  8, source: SourceAffinity, reason: "processes=8 source=affinity affinity=8",
		},

		"tasks leave room for fewer": {
			in: CountInput{Requested: Auto, Limits: Limits{Affinity: 64, PIDs: 24, PIDsPath: "/cg/pids.max"}},
			n:  16, source: SourcePIDs, reason: "processes=16 source=pids affinity=64 pids_max=24", path: "/cg/pids.max",
		},
		"tasks leave no room": {
			in: CountInput{Requested: Auto, Limits: Limits{Affinity: 2, PIDs: 8, PIDsPath: "/cg/pids.max"}},
			n:  1, source: SourcePIDs, reason: "processes=1 source=pids affinity=2 pids_max=8", path: "/cg/pids.max",
			warning: "raise pids.max",
		},
		"running tasks play no part": {
			in: CountInput{Requested: Auto, Limits: Limits{Affinity: 4, PIDs: 100, PIDsCurrent: 99}},
			n:  4, source: SourceAffinity, reason: "processes=4 source=affinity affinity=4",
		},

		"the minimum raises": {
			in: CountInput{Requested: Auto, Limits: quota(0.5, 8), Min: 2},
			n:  2, source: SourceMin, reason: "processes=2 source=min quota=0.5 affinity=8 min=2",
		},
		"the minimum beats memory": {
			in: CountInput{
				Requested: Auto, Min: 4, MemoryPerProcess: gib,
				Limits: Limits{Affinity: 8, Memory: gib},
			},
			n: 4, source: SourceMin, reason: "processes=4 source=min affinity=8 min=4",
		},
		"the maximum lowers": {
			in: CountInput{Requested: Auto, Limits: quota(0, 64), Max: 6},
			n:  6, source: SourceMax, reason: "processes=6 source=max affinity=64 max=6",
		},
		"the maximum beats a minimum above it": {
			in: CountInput{Requested: Auto, Limits: quota(0, 64), Min: 9, Max: 6},
			n:  6, source: SourceMax, reason: "processes=6 source=max affinity=64 max=6",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := Count(c.in)
			if d.N != c.n || d.Source != c.source || d.Reason != c.reason || d.Path != c.path {
				t.Errorf("\n got %+v\nwant N:%d Source:%s Path:%s Reason:%s", d, c.n, c.source, c.path, c.reason)
			}
			if (c.warning == "") != (d.Warning == "") || !strings.Contains(d.Warning, c.warning) {
				t.Errorf("warning %q, want %q", d.Warning, c.warning)
			}
		})
	}
}

func FuzzCountStaysWithinItsBounds(f *testing.F) {
	f.Add(-1, 8, 2.5, uint64(1<<30), uint64(1<<28), 24, 1, 0)
	f.Add(-1, 0, math.NaN(), uint64(0), uint64(0), 0, 0, 0)
	f.Add(-1, math.MaxInt, math.Inf(1), uint64(math.MaxUint64), uint64(1), math.MaxInt, 0, 4)
	f.Add(3, -1, -1.0, uint64(1), uint64(2), -1, -1, -1)
	f.Fuzz(func(t *testing.T, requested, affinity int, quota float64, memory, each uint64, tasks, low, high int) {
		in := CountInput{
			Requested: requested, Min: low, Max: high, MemoryPerProcess: each,
			Limits: Limits{Affinity: affinity, Quota: quota, Memory: memory, PIDs: tasks},
		}
		d := Count(in)
		if requested >= 0 {
			if d.N != requested {
				t.Fatalf("%+v: %+v", in, d)
			}
			return
		}
		if d.N < 1 || high > 0 && d.N > high || low > 0 && (high <= 0 || low <= high) && d.N < low {
			t.Fatalf("%+v: %+v", in, d)
		}
		if affinity > 0 && d.N > max(affinity, low) {
			t.Fatalf("more workers than CPUs: %+v: %+v", in, d)
		}
	})
}
