package cgroup

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"
)

// Amount is a figure that the kernel may not tell: an old one, a controller
// that is not there, the root group.
type Amount struct {
	N     uint64
	Known bool
}

func known(n uint64) Amount { return Amount{n, true} }

// times is the amount in a unit that is factor times smaller.
func (a Amount) times(factor uint64) Amount { return Amount{a.N * factor, a.Known} }

// Usage is what a group has used, all groups below it included. Counters start
// at the group's creation, which may lie before brood's.
type Usage struct {
	// CPUTime and ThrottledTime are in nanoseconds. A period is what the
	// bandwidth limit is counted in; those in which the group ran are counted.
	CPUTime          Amount
	Periods          Amount
	ThrottledPeriods Amount
	ThrottledTime    Amount

	// Memory is what is charged now, in bytes, InactiveFile the part of it that
	// the kernel drops first, MemoryPeak the most it has ever been.
	Memory       Amount
	InactiveFile Amount
	MemoryPeak   Amount
	Events       [MemoryEvents]Amount

	PIDs Amount // tasks, threads included

	Pressure [Resources]Pressure // v2 only
}

// WorkingSet is the memory that cannot be dropped at once: what the kubelet
// compares with a limit.
func (u *Usage) WorkingSet() Amount {
	if !u.Memory.Known || !u.InactiveFile.Known {
		return Amount{}
	}
	return known(u.Memory.N - min(u.InactiveFile.N, u.Memory.N))
}

// MemoryEvent is an index of Usage.Events.
type MemoryEvent int

// The memory events (kernel: cgroup-v2.rst, memory.events). Of a v1 group only
// OOMKill is known.
const (
	High         MemoryEvent = iota // throttled for being above memory.high
	Max                             // about to go above memory.max
	OOM                             // the limit was reached and nothing could be reclaimed
	OOMKill                         // processes killed by the out-of-memory killer
	OOMGroupKill                    // groups killed as a whole, Linux 5.17
	MemoryEvents
)

// String is the name in memory.events.
func (e MemoryEvent) String() string {
	return [...]string{"high", "max", "oom", "oom_kill", "oom_group_kill"}[e]
}

// Resource is an index of Usage.Pressure.
type Resource int

// The resources that tasks wait for.
const (
	CPU Resource = iota
	Memory
	IO
	Resources
)

// String is the name of the resource's pressure file, without its extension.
func (r Resource) String() string { return [...]string{"cpu", "memory", "io"}[r] }

// Pressure is the time, in microseconds, that tasks have waited for a resource
// (kernel: accounting/psi.rst).
type Pressure struct {
	Some Amount // at least one waited
	Full Amount // all waited, none ran; of the CPU since Linux 5.13
}

// Usage reads what the group has used. It is as complete as it could be made,
// whatever the error; a file that does not exist is no error. It costs about
// eight small files.
func (g *Group) Usage() (Usage, error) {
	var u Usage
	r := reader{root: g.root}
	r.useCPU(g, &u)
	r.useMemory(g.seen.place(memory), &u)
	if dir := g.seen.place(pids).own(); dir != "" {
		u.PIDs = r.amount(dir + "/pids.current")
	}
	if dir := g.seen.v2.own(); dir != "" {
		for i := range u.Pressure {
			u.Pressure[i] = r.pressure(dir + "/" + Resource(i).String() + ".pressure")
		}
	}
	return u, errors.Join(r.problems...)
}

func (r *reader) useCPU(g *Group, u *Usage) {
	at := g.seen.place(cpu)
	if at.v2 {
		dir := at.own()
		if dir == "" {
			return
		}
		r.keyed(dir+"/cpu.stat", func(key []byte, v uint64) {
			switch string(key) {
			case "usage_usec":
				u.CPUTime = known(v).times(1000)
			case "nr_periods":
				u.Periods = known(v)
			case "nr_throttled":
				u.ThrottledPeriods = known(v)
			case "throttled_usec":
				u.ThrottledTime = known(v).times(1000)
			}
		})
		return
	}
	if dir := at.own(); dir != "" {
		r.keyed(dir+"/cpu.stat", func(key []byte, v uint64) {
			switch string(key) {
			case "nr_periods":
				u.Periods = known(v)
			case "nr_throttled":
				u.ThrottledPeriods = known(v)
			case "throttled_time":
				u.ThrottledTime = known(v)
			}
		})
	}
	if dir := g.account.own(); dir != "" {
		u.CPUTime = r.amount(dir + "/cpuacct.usage")
	}
}

func (r *reader) useMemory(at place, u *Usage) {
	dir := at.own()
	if dir == "" {
		return
	}
	current, peak, inactive := "/memory.usage_in_bytes", "/memory.max_usage_in_bytes", "total_inactive_file"
	if at.v2 {
		current, peak, inactive = "/memory.current", "/memory.peak", "inactive_file" // the peak since Linux 5.19
	}
	u.Memory = r.amount(dir + current)
	u.MemoryPeak = r.amount(dir + peak)
	r.keyed(dir+"/memory.stat", func(key []byte, v uint64) {
		if string(key) == inactive {
			u.InactiveFile = known(v)
		}
	})
	r.keyed(dir+events(at), func(key []byte, v uint64) {
		for e := range MemoryEvents {
			if string(key) == e.String() && (at.v2 || e == OOMKill) {
				u.Events[e] = known(v)
			}
		}
	})
}

// events is the file that counts what the out-of-memory killer has done; in v1
// since Linux 4.13.
func events(at place) string {
	if at.v2 {
		return "/memory.events"
	}
	return "/memory.oom_control"
}

// OOMKills is how many processes of the group the out-of-memory killer has
// ended so far; false when that is not known. It reads one small file and
// allocates nothing that lasts: it may be asked at every exit.
func (g *Group) OOMKills() (uint64, bool) {
	at := g.seen.place(memory)
	dir := at.own()
	if dir == "" {
		return 0, false
	}
	fd, err := unix.Open(g.root+dir+events(at), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, false
	}
	var buf [512]byte // six short lines
	n, err := read(fd, buf[:])
	_ = unix.Close(fd)
	if err != nil {
		return 0, false
	}
	var kills Amount
	eachKeyed(buf[:n], func(key []byte, v uint64) {
		if string(key) == OOMKill.String() {
			kills = known(v)
		}
	})
	return kills.N, kills.Known
}

// amount reads a file that holds one number.
func (r *reader) amount(path string) Amount {
	return value(r, path, func(b []byte) (Amount, error) {
		b = chomp(b)
		v, ok := decimal(b)
		if !ok {
			return Amount{}, malformed(b)
		}
		return known(v), nil
	})
}

// keyed reads a file of lines "KEY NUMBER".
func (r *reader) keyed(path string, each func(key []byte, v uint64)) {
	value(r, path, func(b []byte) (struct{}, error) {
		if found := eachKeyed(b, each); found == 0 && len(b) > 0 {
			return struct{}{}, malformed(b)
		}
		return struct{}{}, nil
	})
}

// eachKeyed returns how many of the lines are "KEY NUMBER". The key is valid
// during the call only: comparing it as a string costs no memory.
func eachKeyed(b []byte, each func(key []byte, v uint64)) (found int) {
	for line := range bytes.Lines(b) {
		key, number, _ := bytes.Cut(chomp(line), []byte{' '})
		if v, ok := decimal(number); ok {
			each(key, v)
			found++
		}
	}
	return found
}

// pressure reads two lines such as "some avg10=0.00 ... total=1234". A kernel
// that was told psi=0 has the file and refuses to open it.
func (r *reader) pressure(path string) (p Pressure) {
	before := len(r.problems)
	p = value(r, path, parsePressure)
	if len(r.problems) > before && errors.Is(r.problems[before], unix.EOPNOTSUPP) {
		r.problems = r.problems[:before]
	}
	return p
}

func parsePressure(b []byte) (p Pressure, err error) {
	for line := range bytes.Lines(b) {
		kind, rest, _ := bytes.Cut(chomp(line), []byte{' '})
		_, total, found := bytes.Cut(rest, []byte("total="))
		v, ok := decimal(total)
		switch {
		case !found || !ok:
			return Pressure{}, malformed(line)
		case string(kind) == "some":
			p.Some = known(v)
		case string(kind) == "full":
			p.Full = known(v)
		}
	}
	return p, nil
}
