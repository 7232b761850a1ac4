package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func mustLocate(t testing.TB, root Root) *Group {
	t.Helper()
	g, err := Locate(root)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestUsage(t *testing.T) {
	for fixture, want := range map[string]struct {
		usage   Usage
		set     uint64
		limits  Limits
		kills   uint64
		counted bool
	}{
		"usage-v2": {
			usage: Usage{
				CPUTime: known(12345678000), Periods: known(900), ThrottledPeriods: known(30), ThrottledTime: known(4500000000),
				Memory: known(48 << 20), InactiveFile: known(8 << 20), MemoryPeak: known(60000000), PIDs: known(9),
				Events: [...]Amount{High: known(1), Max: known(22), OOM: known(3), OOMKill: known(2), OOMGroupKill: known(0)},
				Pressure: [...]Pressure{
					CPU:    {Some: known(7000000), Full: known(1000000)},
					Memory: {Some: known(250000), Full: known(125000)},
					IO:     {},
				},
			},
			set: 40 << 20,
			limits: Limits{
				Quota: 1.5, QuotaPath: "/sys/fs/cgroup/app/cpu.max", Memory: 64 << 20, MemoryPath: "/sys/fs/cgroup/app/memory.max",
				PIDs: 24, PIDsPath: "/sys/fs/cgroup/app/pids.max", PIDsCurrent: 9, Version: V2,
			},
			kills: 2, counted: true,
		},
		"usage-v1": {
			usage: Usage{
				CPUTime: known(98765432100), Periods: known(5), ThrottledPeriods: known(4), ThrottledTime: known(300000000),
				Memory: known(100000000), InactiveFile: known(20000000), MemoryPeak: known(120000000), PIDs: known(3),
				Events: [MemoryEvents]Amount{OOMKill: known(7)},
			},
			set: 80000000,
			limits: Limits{
				Quota: 2.5, QuotaPath: "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", Memory: 128 << 20,
				MemoryPath: "/sys/fs/cgroup/memory/memory.limit_in_bytes", Version: V1,
			},
			kills: 7, counted: true,
		},
		"no-cgroups": {limits: Limits{Version: None}},
		"no-proc":    {limits: Limits{Version: None}},
	} {
		t.Run(fixture, func(t *testing.T) {
			g := mustLocate(t, unpack(t, fixture))
			usage, err := g.Usage()
			if err != nil || usage != want.usage {
				t.Errorf("got %+v, %v\nwant %+v", usage, err, want.usage)
			}
			if set := usage.WorkingSet(); set != (Amount{want.set, want.set != 0}) {
				t.Errorf("working set %+v, want %d", set, want.set)
			}
			if limits, err := g.Limits(); err != nil || limits != want.limits {
				t.Errorf("got %+v, %v\nwant %+v", limits, err, want.limits)
			}
			if kills, ok := g.OOMKills(); kills != want.kills || ok != want.counted {
				t.Errorf("%d processes killed, %v; want %d, %v", kills, ok, want.kills, want.counted)
			}
		})
	}
}

func TestTheLimitsAreTheSameByBothWays(t *testing.T) {
	entries, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(entries) == 0 {
		t.Fatal(err, entries)
	}
	for _, entry := range entries {
		root := unpack(t, strings.TrimSuffix(filepath.Base(entry), ".txt"))
		want, _ := Read(root, cpus(0))
		g, _ := Locate(root)
		got, _ := g.Limits()
		want.Affinity, got.Affinity = 0, 0
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", entry, got, want)
		}
	}
}

func TestTheGroupsPlaceIsFoundOnce(t *testing.T) {
	root := unpack(t, "usage-v2")
	g := mustLocate(t, root)
	if err := os.RemoveAll(filepath.Join(string(root), "proc/self")); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(string(root), "sys/fs/cgroup/app/memory.events")
	if err := os.WriteFile(events, []byte("oom 4\noom_kill 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if kills, ok := g.OOMKills(); kills != 3 || !ok {
		t.Errorf("got %d, %v", kills, ok)
	}
}

func TestAnAncestorsUsageIsNotOurs(t *testing.T) {
	// The group itself cannot be named here, its ancestors can.
	g := mustLocate(t, unpack(t, "namespace-not-remounted"))
	if usage, err := g.Usage(); err != nil || usage != (Usage{}) {
		t.Errorf("got %+v, %v", usage, err)
	}
	if limits, err := g.Limits(); err != nil || limits.Quota == 0 {
		t.Errorf("the ancestor's limit binds all the same: got %+v, %v", limits, err)
	}
}

func TestUsageOfWhatMakesNoSense(t *testing.T) {
	root := tree(t, map[string]string{
		"/proc/self/cgroup":             "0::/\n",
		"/proc/self/mountinfo":          "1 1 0:1 / /cg rw - cgroup2 cgroup rw\n",
		"/cg/cpu.stat":                  "usage_usec -1\n",
		"/cg/memory.current":            "1 2\n",
		"/cg/memory.events":             "oom_kill\noom_kill x\noom_kill 18446744073709551616\n",
		"/cg/memory.stat":               "inactive_file 5\ninactive_file_of_another 6\n",
		"/cg/memory.pressure":           "some avg10=0.00 avg60=0.00\n",
		"/cg/pids.current":              "",
		"/cg/cpu.pressure/not-a-file":   "",
		"/cg/io.pressure":               "partial avg10=0 total=5\n",
		"/cg/memory.peak":               "7\n",
		"/cg/does-not-matter-who-reads": "x",
	})
	g := mustLocate(t, root)
	usage, err := g.Usage()
	if want := (Usage{InactiveFile: known(5), MemoryPeak: known(7)}); usage != want {
		t.Errorf("got %+v", usage)
	}
	for _, name := range []string{"cpu.stat", "memory.current", "memory.events", "memory.pressure", "pids.current", "cpu.pressure"} {
		if err == nil || !strings.Contains(err.Error(), "/cg/"+name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if _, ok := g.OOMKills(); ok {
		t.Error("a count was made up")
	}
}

func TestAMissingPressureFileIsNoError(t *testing.T) {
	r := reader{}
	r.problem(unix.EIO)
	if p := r.pressure("/proc/self/no-such-file"); p != (Pressure{}) || len(r.problems) != 1 {
		t.Errorf("got %+v, %v", p, r.problems)
	}
}

func TestUsageOfThisMachine(t *testing.T) {
	g, err := Locate("")
	if err != nil {
		t.Fatal(err)
	}
	usage, err := g.Usage()
	if err != nil {
		t.Errorf("%s: %v", g.Version(), err)
	}
	if g.Version() != None && usage == (Usage{}) {
		t.Errorf("%s, and nothing was used", g.Version())
	}
}

func BenchmarkUsage(b *testing.B) {
	g, err := Locate("")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("usage", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = g.Usage()
		}
	})
	b.Run("limits", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = g.Limits()
		}
	})
	b.Run("oom kills", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = g.OOMKills()
		}
	})
	b.Run("locate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Locate("")
		}
	})
}

func FuzzParsePressure(f *testing.F) {
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n"))
	f.Add([]byte("some total=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := parsePressure(text); err != nil && p != (Pressure{}) {
			t.Errorf("%q: %+v beside %v", text, p, err)
		}
	})
}
