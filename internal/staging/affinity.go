package staging

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Affinity says which CPUs the worker of a slot may use. The zero value leaves
// them alone.
type Affinity struct {
	allowed []int
	each    bool // one for each slot, of those that are allowed when it starts
}

const wantCPUs = "want auto, or CPUs such as 0-3,6"

// maxCPU is far more than kernels are built for (NR_CPUS is at most 8192).
const maxCPU = 1 << 16

// ParseAffinity reads "auto", which is one CPU for each slot in turn, or a list
// as in cpuset(7), which every worker gets. Both are within what the calling
// thread may use: a list now, and auto whenever a worker starts, since docker
// update may have changed that.
func ParseAffinity(text string) (Affinity, error) {
	allowed, err := allowedCPUs()
	if err != nil {
		return Affinity{}, err
	}
	return parseAffinity(strings.TrimSpace(text), allowed)
}

func parseAffinity(text string, allowed []int) (Affinity, error) {
	if text == "auto" {
		return Affinity{allowed: allowed, each: true}, nil
	}
	cpus, err := parseCPUs(text)
	if err != nil {
		return Affinity{}, err
	}
	for _, cpu := range cpus {
		if !slices.Contains(allowed, cpu) {
			return Affinity{}, fmt.Errorf("CPU %d is not among those that brood may use, %s", cpu, formatCPUs(allowed))
		}
	}
	return Affinity{allowed: cpus}, nil
}

// For returns the CPUs for a slot, counted from 1.
func (a Affinity) For(slot int) []int {
	allowed := a.allowed
	if !a.each || len(allowed) == 0 {
		return allowed
	}
	if now, err := allowedCPUs(); err == nil {
		allowed = now // the kernel refuses a CPU that is none of these any more
	}
	i := (slot - 1) % len(allowed)
	return allowed[i : i+1]
}

func parseCPUs(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 32)
		last, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil || first > last || last >= maxCPU {
			return nil, errors.New(wantCPUs)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, int(cpu))
		}
		if len(cpus) > 2*maxCPU {
			return nil, errors.New(wantCPUs)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// formatCPUs is what parseCPUs takes, from a sorted list.
func formatCPUs(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		last := i
		for last+1 < len(cpus) && cpus[last+1] == cpus[last]+1 {
			last++
		}
		part := strconv.Itoa(cpus[i])
		if last > i {
			part += "-" + strconv.Itoa(cpus[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}

// allowedCPUs asks the kernel, with a mask that no kernel finds too small:
// unix.SchedGetaffinity knows 1024 CPUs.
func allowedCPUs() ([]int, error) {
	mask := make([]uint64, maxCPU/64)
	n, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, 0, uintptr(len(mask)*8), uintptr(unsafe.Pointer(&mask[0])))
	if errno != 0 {
		return nil, fmt.Errorf("cannot ask which CPUs brood may use: %w", errno)
	}
	var cpus []int
	for cpu := range int(n) * 8 {
		if mask[cpu/64]>>(cpu%64)&1 != 0 {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// cpuMask is the mask for sched_setaffinity(2). It may be shorter than the
// kernel's: the rest counts as zero.
func cpuMask(cpus []int) []uint64 {
	if len(cpus) == 0 {
		return nil
	}
	mask := make([]uint64, slices.Max(cpus)/64+1)
	for _, cpu := range cpus {
		mask[cpu/64] |= 1 << (cpu % 64)
	}
	return mask
}
