package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// MemoryGroup makes a control group whose processes have so many bytes
// together, of the memory controller of either version; Stage.Group puts brood
// there. The test is skipped where no such group can be made.
func MemoryGroup(t testing.TB, limit int64) (dir string) {
	t.Helper()
	return group(t, "memory", map[string]string{
		"memory.limit_in_bytes": strconv.FormatInt(limit, 10), "memory.max": strconv.FormatInt(limit, 10), "memory.swap.max": "0",
	})
}

// CPUGroup makes a control group whose processes have so many CPUs together, as
// MemoryGroup does.
func CPUGroup(t testing.TB, cpus int) (dir string) {
	t.Helper()
	dir = group(t, "cpu", nil)
	if err := LimitCPUs(dir, cpus); err != nil {
		Missing(t, "cpu cannot be limited: %v", err)
	}
	return dir
}

// LimitCPUs changes how many CPUs a group of CPUGroup has.
func LimitCPUs(dir string, cpus int) error {
	const period = 100_000
	file, text := filepath.Join(dir, "cpu.cfs_quota_us"), strconv.Itoa(cpus*period)
	if _, err := os.Stat(file); err != nil {
		file, text = filepath.Join(dir, "cpu.max"), fmt.Sprintf("%d %d", cpus*period, period)
	}
	return os.WriteFile(file, []byte(text), 0)
}

// group makes a group below the tests' own and writes those of the files that
// are there.
func group(t testing.TB, controller string, files map[string]string) string {
	t.Helper()
	parent, why := "", "no hierarchy has it"
	for line := range strings.Lines(Content("/proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case hasWord(fields[1], controller):
			parent = existing("/sys/fs/cgroup/"+fields[1]+fields[2], "/sys/fs/cgroup/"+fields[1])
		case fields[1] == "" && parent == "":
			// Only the root may have processes and give controllers to its children.
			root := "/sys/fs/cgroup"
			if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+"+controller), 0); err != nil {
				why = err.Error()
				continue
			}
			parent = root
		}
	}
	if parent == "" {
		Missing(t, "no control group of %s can be made: %s", controller, why)
	}
	dir := filepath.Join(parent, "brood-test-"+strings.ReplaceAll(newMark(), "/", "-"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		Missing(t, "no control group of %s can be made: %v", controller, err)
	}
	t.Cleanup(func() {
		// The kernel lets the last process go a moment after its end.
		if !Within(10*time.Second, func() bool { return unix.Rmdir(dir) == nil }) {
			t.Errorf("%s cannot be removed", dir)
		}
	})
	for name, value := range files {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			Missing(t, "%s cannot be limited: %v", controller, err)
		}
	}
	return dir
}

func hasWord(list, word string) bool {
	return strings.Contains(","+list+",", ","+word+",")
}

func existing(dirs ...string) string {
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}
