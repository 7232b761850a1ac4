package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// unpack turns testdata/NAME.txt into a tree of files and returns its root. The
// text before the first "-- /path --" line is a comment.
func unpack(t testing.TB, name string) Root {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	path := ""
	for text := range strings.Lines(string(content)) {
		if p, ok := strings.CutPrefix(strings.TrimSuffix(text, " --\n"), "-- "); ok {
			path = p
			files[path] = ""
		} else if path != "" {
			files[path] += text
		}
	}
	return tree(t, files)
}

func tree(t testing.TB, files map[string]string) Root {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Root(root)
}

func cpus(n int) func() (int, error) { return func() (int, error) { return n, nil } }

func TestReadFindsTheSmallestVisibleLimit(t *testing.T) {
	const (
		v1cpu  = "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"
		v1mem  = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
		v1pids = "/sys/fs/cgroup/pids/pids.max"
		v2     = "/sys/fs/cgroup"
	)
	for fixture, want := range map[string]Limits{
		"docker-v1": {
			Affinity: 48, Quota: 2.5, QuotaPath: v1cpu, Memory: 512 << 20, MemoryPath: v1mem,
			PIDs: 100, PIDsPath: v1pids, PIDsCurrent: 6, Version: V1,
		},
		"docker-v1-unlimited": {Affinity: 64, Version: V1},
		"docker-v2": {
			Affinity: 6, Quota: 1.5, QuotaPath: v2 + "/cpu.max", Memory: 64 << 20, MemoryPath: v2 + "/memory.max",
			PIDs: 24, PIDsPath: v2 + "/pids.max", PIDsCurrent: 9, Version: V2,
		},
		"docker-v2-host-namespace": {
			Affinity: 64, Quota: 3, QuotaPath: v2 + "/tenants/cpu.max",
			Memory: 512 << 20, MemoryPath: v2 + "/tenants/memory.max",
			PIDs: 400, PIDsPath: v2 + "/tenants/pids.max", PIDsCurrent: 90, Version: V2,
		},
		"kubernetes-v1-nested": {
			Affinity: 64, Quota: 3.2,
			QuotaPath: "/host/sys/fs/cgroup/cpu,cpuacct/kubepods/burstable/pod3f6a1c2e-77/cpu.cfs_quota_us",
			Memory:    128 << 20, MemoryPath: v1mem, Version: V1,
		},
		"kubernetes-v2": {Affinity: 64, Memory: 128 << 20, MemoryPath: v2 + "/memory.max", Version: V2},
		"hybrid": {
			Affinity: 64, Quota: 4, QuotaPath: v2 + "/cpu/app/cpu.cfs_quota_us",
			Memory: 1 << 30, MemoryPath: v2 + "/memory/app/memory.limit_in_bytes",
			PIDs: 77, PIDsPath: v2 + "/unified/app/pids.max", PIDsCurrent: 2, Version: Hybrid,
		},
		"systemd-slices": {
			Affinity: 5, Quota: 1.2, QuotaPath: v2 + "/batch.slice/cpu.max", PIDs: 4915,
			PIDsPath: v2 + "/batch.slice/batch-night.slice/brood.service/pids.max", PIDsCurrent: 5, Version: V2,
		},
		"namespace-not-remounted": {
			Affinity: 64, Quota: 8, QuotaPath: v2 + "/cpu.max",
			PIDs: 1000, PIDsPath: v2 + "/pids.max", PIDsCurrent: 300, Version: V2,
		},
		"namespace-outside": {Affinity: 64, Quota: 7, QuotaPath: "/mnt/parent/sibling/cpu.max", Version: V2},
		"lxc": {
			Affinity: 2, Quota: 10, QuotaPath: v2 + "/cpu.max", Memory: 2 << 30, MemoryPath: v2 + "/memory.max",
			Version: V2,
		},
		"escaped":    {Affinity: 64, Quota: 0.5, QuotaPath: `/my groups/cpu\/a:b c/cpu.cfs_quota_us`, Version: V1},
		"no-cgroups": {Affinity: 64, Version: None},
		"no-proc":    {Affinity: 64, Version: None},
	} {
		t.Run(fixture, func(t *testing.T) {
			got, err := Read(unpack(t, fixture), cpus(64))
			if err != nil {
				t.Errorf("error: %v", err)
			}
			if got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestReadUsesWhatMakesSenseAndNamesWhatDoesNot(t *testing.T) {
	got, err := Read(unpack(t, "malformed"), func() (int, error) { return 0, unix.EPERM })
	want := Limits{PIDs: 12, PIDsPath: "/sys/fs/cgroup/app/pids.max", Version: V2}
	if got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("the affinity's error is lost: %v", err)
	}
	for _, path := range []string{"cpu.max", "memory.max", "pids.current", "cpuset.cpus.effective"} {
		if err == nil || !strings.Contains(err.Error(), "/sys/fs/cgroup/app/"+path) {
			t.Errorf("%s is not named in: %v", path, err)
		}
	}
}

// Something else in the place of a file must neither hang nor fill the memory.
func TestReadSurvivesWhatIsNoOrdinaryFile(t *testing.T) {
	const group = "29 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n"
	root := tree(t, map[string]string{
		"/proc/self/cgroup":    "0::/\n",
		"/proc/self/mountinfo": group,
		"/cg/memory.max":       strings.Repeat("1", 3*maxSmall),
		"/cg/pids.max/a":       "a directory",
		"/cg/cpuset":           "",
	})
	if err := unix.Mkfifo(string(root)+"/cg/cpu.max", 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(root, cpus(3))
	if want := (Limits{Affinity: 3, Version: V2}); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if !errors.Is(err, unix.EFBIG) || !errors.Is(err, unix.EISDIR) {
		t.Errorf("error: %v", err)
	}
}

func TestReadGivesUpOnEndlessFilesAndKeepsWhatCameBefore(t *testing.T) {
	root := tree(t, map[string]string{
		"/proc/self/cgroup":    "0::/app\n",
		"/proc/self/mountinfo": "29 23 0:26 /app /cg rw - cgroup2 cgroup2 rw\n" + strings.Repeat("x\n", maxLarge),
		"/cg/cpu.max":          "300000 100000\n",
	})
	got, err := Read(root, cpus(8))
	if got.Quota != 3 {
		t.Errorf("quota %v, want 3", got.Quota)
	}
	if !errors.Is(err, unix.EFBIG) {
		t.Errorf("error: %v", err)
	}
}

func TestReadBoundsTheDepthAndSaysSo(t *testing.T) {
	deep := strings.Repeat("/a", maxDepth)
	root := tree(t, map[string]string{
		"/proc/self/cgroup":       "0::" + deep + "\n",
		"/proc/self/mountinfo":    "29 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n",
		"/cg/cpu.max":             "100000 100000\n",
		"/cg" + deep + "/cpu.max": "300000 100000\n",
	})
	got, err := Read(root, cpus(8))
	if got.Quota != 3 {
		t.Errorf("quota %v, want that of the nearest group", got.Quota)
	}
	if err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("error: %v", err)
	}
}

func TestReadStopsLookingForMountsWhenAllAreFound(t *testing.T) {
	own := membership{v2: "/app"}
	seen := view{own: &own}
	if !seen.add([]byte("1 2 0:1 /app /cg rw - cgroup2 none rw")) {
		t.Error("stopped at a mount that hides an ancestor")
	}
	if seen.add([]byte("1 2 0:1 / /all rw - cgroup2 none rw")) {
		t.Error("went on after a mount that shows everything")
	}
	if seen.v2.mount != "/all" || seen.v2.path != "/app" {
		t.Errorf("took %+v", seen.v2)
	}
	seen.add([]byte("1 2 0:1 /app /cg rw - cgroup2 none rw"))
	if seen.v2.mount != "/all" {
		t.Errorf("a mount that shows less was taken: %+v", seen.v2)
	}
}

func TestAffinityGrowsTheMaskUntilTheKernelTakesIt(t *testing.T) {
	const machine = 5000 // CPUs, of which every word's first is ours
	n, err := countMask(func(mask []uint64) (int, error) {
		if len(mask)*64 < machine {
			return 0, unix.EINVAL
		}
		for i := range mask[:80] {
			mask[i] = 1
		}
		mask[len(mask)-1] = ^uint64(0) // beyond what the kernel says it has written
		return 80 * 8, nil
	})
	if n != 80 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err = countMask(func([]uint64) (int, error) { return 0, unix.EINVAL }); err == nil {
		t.Errorf("got %d from a kernel that takes no mask", n)
	}
}
