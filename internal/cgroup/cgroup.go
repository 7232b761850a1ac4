// Package cgroup reads what this process may use: CPUs, memory and tasks, as
// the affinity mask and the control groups (v1, v2, and both at once) allow
// it, and decides from that how many workers to start.
//
// A limit is the smallest of the whole path that can be seen: the process's
// own group and each ancestor up to the root of the mount. Ancestors outside
// of the mount (a pod's group, seen from its container) are invisible.
//
// Nothing here is trusted to be there or to make sense. What is missing is
// unknown, what cannot be read or parsed is unknown and told in the error, and
// the rest is still answered. All reads are bounded. Nothing is cached: a limit
// may change at any time, without an event.
package cgroup

import (
	"errors"
	"fmt"
	"strings"
)

// Root is the directory that stands for "/": tests point it at a directory of
// fixtures. The zero value is "/" too.
type Root string

// Version says through which kind of control groups the limits were looked for.
type Version string

// The versions. In a container of a v1 host, where /proc/self/cgroup has a v2
// line as well but no v2 file system is mounted, the version is V1.
const (
	None   Version = "none"   // no group of this process can be seen
	V1     Version = "v1"     // a file system per controller
	V2     Version = "v2"     // one file system
	Hybrid Version = "hybrid" // v1 controllers beside a mounted v2
)

// Limits is what this process may use. Paths are absolute and as this process
// sees them, without the Root.
type Limits struct {
	// Affinity is the number of CPUs that the process may be scheduled on: the
	// kernel's mask, or the cpuset where that is smaller. 0 is unknown.
	Affinity int
	// Quota is the bandwidth limit in CPUs, 2.5 for 250 ms of every 100 ms;
	// 0 is no limit. QuotaPath is the file that says so.
	Quota     float64
	QuotaPath string
	// Memory is the limit in bytes, 0 is no limit. One above the memory of the
	// machine counts as none. MemoryPath is the file that says so.
	Memory     uint64
	MemoryPath string
	// PIDs is the limit on tasks, threads included; 0 is no limit. PIDsPath is
	// the file that says so, PIDsCurrent how many tasks that same group has.
	PIDs        int
	PIDsPath    string
	PIDsCurrent int

	Version Version
}

// maxDepth bounds the walk. Kubernetes under systemd nests six levels; a path
// of 4096 bytes could hold two thousand.
const maxDepth = 64

// Read looks at the limits of the calling process now. affinity counts the
// CPUs of the affinity mask; nil means Affinity. The Limits are as complete as
// they could be made, whatever the error: it tells what could not be read,
// for a log at debug level. A file that does not exist is no error.
func Read(root Root, affinity func() (int, error)) (Limits, error) {
	if affinity == nil {
		affinity = Affinity
	}
	r := reader{root: strings.TrimRight(string(root), "/")}
	limits := Limits{Version: None}

	cpus, err := affinity()
	if err != nil {
		r.problem(fmt.Errorf("cannot read the CPU affinity: %w", err))
	}
	limits.Affinity = max(cpus, 0)

	var own membership
	r.lines("/proc/self/cgroup", own.add)
	seen := view{own: &own}
	r.lines("/proc/self/mountinfo", seen.add)
	limits.Version = seen.version()

	r.readCPU(seen.place(cpu), &limits)
	r.readMemory(seen.place(memory), &limits)
	r.readPIDs(seen.place(pids), &limits)
	r.readCPUSet(seen.place(cpuset), &limits)
	return limits, errors.Join(r.problems...)
}

// readCPU finds the smallest CPU bandwidth (kernel: scheduler/sched-bwc.rst
// and cgroup-v2.rst, cpu.max).
func (r *reader) readCPU(at place, limits *Limits) {
	r.walk(at, func(dir string) bool {
		var cpus float64
		var path string
		if at.v2 {
			path = dir + "/cpu.max"
			cpus = value(r, path, parseCPUMax)
		} else {
			path = dir + "/cpu.cfs_quota_us"
			if quota := value(r, path, parseQuota); quota > 0 {
				if period := value(r, dir+"/cpu.cfs_period_us", parseQuota); period > 0 {
					cpus = float64(quota) / float64(period)
				}
			}
		}
		if cpus > 0 && (limits.Quota == 0 || cpus < limits.Quota) {
			limits.Quota, limits.QuotaPath = cpus, path
		}
		return true
	})
}

// readMemory finds the smallest memory limit. Before Linux 5.11 a v1 parent
// with memory.use_hierarchy=0 did not bind its children; it is counted all the
// same, which errs to the safe side.
func (r *reader) readMemory(at place, limits *Limits) {
	name := "/memory.limit_in_bytes"
	if at.v2 {
		name = "/memory.max"
	}
	r.walk(at, func(dir string) bool {
		bytes := value(r, dir+name, parseLimit)
		if bytes > 0 && (limits.Memory == 0 || bytes < limits.Memory) {
			limits.Memory, limits.MemoryPath = bytes, dir+name
		}
		return true
	})
	if limits.Memory == 0 {
		return
	}
	// Equal is kept: lxcfs shows the limit itself as the machine's memory.
	total := value(r, "/proc/meminfo", parseMemTotal)
	if total > 0 && limits.Memory > total {
		limits.Memory, limits.MemoryPath = 0, ""
	}
}

// readPIDs finds the smallest limit on tasks.
func (r *reader) readPIDs(at place, limits *Limits) {
	group := ""
	r.walk(at, func(dir string) bool {
		tasks := value(r, dir+"/pids.max", parseLimit)
		if tasks == 0 || tasks > maxTasks {
			return true
		}
		if limits.PIDs == 0 || int(tasks) < limits.PIDs {
			limits.PIDs, limits.PIDsPath = int(tasks), dir+"/pids.max"
			group = dir
		}
		return true
	})
	if group != "" {
		limits.PIDsCurrent = int(min(value(r, group+"/pids.current", parseLimit), maxTasks))
	}
}

// readCPUSet lowers the affinity to the cpuset where one can be seen. Only the
// nearest group that has a cpuset counts: the next ones inherit from it, and a
// v2 partition further up may have given CPUs away that are ours.
func (r *reader) readCPUSet(at place, limits *Limits) {
	names := []string{"/cpuset.effective_cpus", "/cpuset.cpus"}
	if at.v2 {
		// cpuset.cpus is only what was asked for, and mostly empty.
		names = []string{"/cpuset.cpus.effective"}
	}
	r.walk(at, func(dir string) bool {
		for _, name := range names {
			if cpus := value(r, dir+name, parseCPUList); cpus > 0 {
				if limits.Affinity == 0 || cpus < limits.Affinity {
					limits.Affinity = cpus
				}
				return false
			}
		}
		return true
	})
}

// walk calls visit with each directory from the process's own group up to the
// root of the mount, until visit returns false.
func (r *reader) walk(at place, visit func(dir string) bool) {
	if !at.found {
		return
	}
	rest := at.path
	for range maxDepth {
		if !visit(at.mount + rest) {
			return
		}
		if rest == "" {
			return
		}
		rest = rest[:strings.LastIndexByte(rest, '/')]
	}
	r.problem(fmt.Errorf("cannot read all of %q: nested deeper than %d", at.mount+at.path, maxDepth))
}
