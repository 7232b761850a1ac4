package cgroup

import (
	"fmt"
	"math"
	"strconv"
)

// Auto is the Requested that leaves the number to the limits; so does any other
// negative one.
const Auto = -1

// CountInput is what the number of workers depends on.
type CountInput struct {
	// Requested is the number to start, or negative for the limits to decide.
	// All other fields are about the latter only.
	Requested int
	Limits    Limits
	// Min and Max bound the number; a Min of 0 is 1, a Max of 0 is no bound. Min
	// raises the number above what memory and tasks allow. A Min above Max
	// should have been refused before; Max wins.
	Min, Max int
	// MemoryPerProcess is what one worker needs, in bytes; 0 is unknown.
	MemoryPerProcess uint64
}

// Source is what decided the number of workers.
type Source string

// The sources.
const (
	SourceRequested Source = "requested" // a number was asked for
	SourceAffinity  Source = "affinity"  // the CPUs of the affinity mask or cpuset
	SourceCgroup    Source = "cgroup"    // the CPU quota
	SourceMemory    Source = "memory"    // the memory limit holds no more
	SourcePIDs      Source = "pids"      // the limit on tasks holds no more
	SourceMin       Source = "min"       // CountInput.Min
	SourceMax       Source = "max"       // CountInput.Max
)

// Decision is the number of workers and why.
type Decision struct {
	N      int
	Source Source
	// Path is the file that the deciding limit was read from; empty when none was.
	Path string
	// Reason is for a log line or a person:
	// "processes=3 source=cgroup quota=2.5 affinity=64".
	Reason string
	// Warning is empty, or says in a sentence what is probably not wanted and
	// what to do about it.
	Warning string
}

const (
	// ownTasks is what brood itself takes of the limit on tasks: the threads of
	// its Go runtime, five to eight as measured.
	ownTasks = 8
	// manyCPUs is the number of CPUs above which, without a quota, one worker
	// for each is rather a shared machine than a wish.
	manyCPUs = 8
	// ceilTolerance forgives a quota that was rounded to whole microseconds: with
	// a period of 10 ms that is a ten-thousandth. Kubernetes' smallest step is
	// 0.001 CPU and still counts.
	ceilTolerance = 1e-4
)

// Count decides how many workers to start: as many as there are CPUs to run
// them, a part of a CPU counting as one, at least one. It is pure: the same
// input has the same answer while workers come and go, which is why the number
// of tasks that run now (Limits.PIDsCurrent) plays no part.
func Count(in CountInput) Decision {
	if in.Requested >= 0 {
		d := Decision{N: in.Requested, Source: SourceRequested}
		d.Reason = reason(d, in)
		return d
	}
	l := in.Limits
	var d Decision
	settle := func(n int, source Source, path string) { d.N, d.Source, d.Path = max(n, 1), source, path }

	settle(l.Affinity, SourceAffinity, "")
	if l.Quota > 0 {
		// Without a mask there is nothing but the quota to go by.
		if n := ceil(l.Quota); n < d.N || l.Affinity == 0 {
			settle(n, SourceCgroup, l.QuotaPath)
		}
	}
	if l.Memory > 0 && in.MemoryPerProcess > 0 {
		holds := l.Memory / in.MemoryPerProcess
		if holds < uint64(d.N) {
			settle(int(holds), SourceMemory, l.MemoryPath)
		}
		if holds == 0 {
			d.Warning = fmt.Sprintf("the memory limit of %d bytes holds no worker of %d bytes: "+
				"raise the limit or lower --memory-per-process", l.Memory, in.MemoryPerProcess)
		}
	}
	if l.PIDs > 0 {
		holds := l.PIDs - ownTasks
		if holds < d.N {
			settle(holds, SourcePIDs, l.PIDsPath)
		}
		if holds < 1 {
			d.Warning = fmt.Sprintf("the limit of %d tasks leaves no room for workers: raise pids.max", l.PIDs)
		}
	}
	if d.N < in.Min {
		settle(in.Min, SourceMin, "")
	}
	if in.Max > 0 && d.N > in.Max {
		settle(in.Max, SourceMax, "")
	}
	if d.Source == SourceAffinity && l.Quota == 0 && d.N > manyCPUs && in.Max == 0 {
		d.Warning = fmt.Sprintf("no CPU limit found, so there is a worker for each of %d CPUs: "+
			"set --processes or --max-processes, or a CPU limit", d.N)
	}
	d.Reason = reason(d, in)
	return d
}

// ceil is the number of CPUs that a quota keeps busy. A quota may be written far
// above the machine; it is no reason to believe in more CPUs than Linux can be
// built for.
func ceil(quota float64) int {
	const most = 8192 // NR_CPUS
	n := math.Ceil(quota - ceilTolerance)
	if !(n < most) { // NaN as well
		return most
	}
	return max(int(n), 1)
}

// reason names the decision, what CPUs there were, and the figures that came in
// between.
func reason(d Decision, in CountInput) string {
	b := append([]byte("processes="), strconv.Itoa(d.N)...)
	b = append(b, " source="+d.Source...)
	if d.Source == SourceRequested {
		return string(b)
	}
	number := func(key string, v uint64) {
		b = append(b, key...)
		b = strconv.AppendUint(b, v, 10)
	}
	if in.Limits.Quota > 0 {
		b = append(b, " quota="...)
		b = strconv.AppendFloat(b, math.Round(in.Limits.Quota*1000)/1000, 'f', -1, 64)
	}
	if in.Limits.Affinity > 0 {
		number(" affinity=", uint64(in.Limits.Affinity))
	}
	switch d.Source {
	case SourceMemory:
		number(" memory=", in.Limits.Memory)
		number(" memory_per_process=", in.MemoryPerProcess)
	case SourcePIDs:
		number(" pids_max=", uint64(in.Limits.PIDs))
	case SourceMin:
		number(" min=", uint64(in.Min))
	case SourceMax:
		number(" max=", uint64(in.Max))
	}
	return string(b)
}
