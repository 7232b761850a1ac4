package proc

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// Stat is the part of proc_pid_stat(5) that a supervisor asks for.
type Stat struct {
	PID     int
	Comm    string // at most 15 bytes for a program; it may hold any byte but NUL
	State   byte   // R, S, D, Z (ended, not reaped), T, t, X, I, ...
	PPID    int    // 0 when the parent is outside of the PID namespace
	PGRP    int    // -1 while the process is being reaped
	Session int    // -1 while the process is being reaped

	MinFaults, MajFaults   uint64 // page faults without and with I/O, children not counted
	UserTicks, SystemTicks uint64 // CPU time in units of 1/TicksPerSecond, children not counted
	Threads                int    // of the whole process; 1 for a zombie, more when only its first thread has ended
	StartTicks             uint64 // start, in ticks of the boot clock; see Clock
	VirtualBytes           uint64
	ResidentPages          int64 // in units of the page size; inexact by some pages per thread
}

// Ended reports whether the whole process has ended: a zombie waits for its
// parent, a dead one is on its way out. A first thread that has called
// pthread_exit shows as Z too, with the threads that live on still counted.
func (s Stat) Ended() bool {
	return (s.State == 'Z' && s.Threads <= 1) || s.State == 'X' || s.State == 'x'
}

// Stat reads /proc/PID/stat. The error satisfies Gone when there is no such
// process. Zombies still answer. A thread's number answers too, with the
// figures of its process: see TGID.
func (fs FS) Stat(pid int) (Stat, error) {
	// 52 numbers of at most 20 digits, and the name.
	var buf [1536]byte
	n, err := fs.read(pid, "stat", buf[:])
	if err != nil {
		return Stat{}, err
	}
	s, err := ParseStat(buf[:n])
	if err != nil {
		return Stat{}, unreadable(fs, pid, "stat", err)
	}
	return s, nil
}

// ParseStat reads the text of a /proc/PID/stat file. The program chooses its
// name freely and the kernel does not escape it here, so the name ends at the
// last closing parenthesis: what follows are numbers and one letter.
func ParseStat(b []byte) (Stat, error) {
	first, last := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if first < 2 || last < first || b[first-1] != ' ' {
		return Stat{}, errors.New("cannot parse stat: no name in parentheses")
	}
	pid, ok := decimal(b[:first-1])
	if !ok || pid > math.MaxInt32 {
		return Stat{}, fmt.Errorf("cannot parse stat: %q is no process number", string(b[:first-1]))
	}

	f := fields{rest: b[last+1:], number: 2}
	s := Stat{PID: int(pid)}
	s.State = f.letter()
	s.PPID = f.int()
	s.PGRP = f.int()
	s.Session = f.int()
	f.skip(3) // tty_nr, tpgid, flags
	s.MinFaults = f.uint()
	f.skip(1) // cminflt
	s.MajFaults = f.uint()
	f.skip(1) // cmajflt
	s.UserTicks = f.uint()
	s.SystemTicks = f.uint()
	f.skip(4) // cutime, cstime, priority, nice
	s.Threads = f.int()
	f.skip(1) // itrealvalue
	s.StartTicks = f.uint()
	s.VirtualBytes = f.uint()
	s.ResidentPages = f.int64()
	if f.bad != 0 {
		return Stat{}, fmt.Errorf("cannot parse stat: field %d is missing or malformed", f.bad)
	}
	s.Comm = string(b[first+1 : last])
	return s, nil
}

// fields hands out what is separated by single spaces, and remembers the first
// field that was not what it should be. Numbers are those of proc_pid_stat(5).
type fields struct {
	rest   []byte
	number int
	bad    int
}

func (f *fields) next() []byte {
	f.number++
	if len(f.rest) < 2 || f.rest[0] != ' ' {
		f.fail()
		return nil
	}
	field := f.rest[1:]
	if n := bytes.IndexAny(field, " \n"); n >= 0 {
		field = field[:n]
	}
	f.rest = f.rest[1+len(field):]
	return field
}

func (f *fields) fail() {
	if f.bad == 0 {
		f.bad = f.number
	}
}

func (f *fields) skip(n int) {
	for range n {
		f.next()
	}
}

func (f *fields) letter() byte {
	b := f.next()
	if len(b) != 1 || b[0] < 'A' || b[0] > 'z' {
		f.fail()
		return 0
	}
	return b[0]
}

func (f *fields) uint() uint64 {
	v, ok := decimal(f.next())
	if !ok {
		f.fail()
	}
	return v
}

func (f *fields) int64() int64 {
	b := f.next()
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	v, ok := decimal(b)
	if !ok || v > math.MaxInt64 {
		f.fail()
		return 0
	}
	if negative {
		return -int64(v)
	}
	return int64(v)
}

func (f *fields) int() int {
	v := f.int64()
	if v < math.MinInt32 || v > math.MaxInt32 {
		f.fail()
		return 0
	}
	return int(v)
}
