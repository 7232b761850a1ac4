package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is what /proc says about a process. It reads /proc by itself: the
// tests would not notice a mistake that they share with brood.
type Process struct {
	PID, PPID int
	Inner     int // the PID in the innermost namespace
	Comm      string
	State     byte // 'Z' for a zombie
	status    map[string]string
}

// Look reads one process.
func Look(pid int) (Process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return Process{}, false
	}
	p := Process{PID: pid, status: make(map[string]string)}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		p.status[key] = strings.TrimSpace(value)
	}
	p.Comm = p.status["Name"]
	p.PPID, _ = strconv.Atoi(p.status["PPid"])
	if s := p.status["State"]; s != "" {
		p.State = s[0]
	}
	if ids := strings.Fields(p.status["NSpid"]); len(ids) > 0 {
		p.Inner, _ = strconv.Atoi(ids[len(ids)-1])
	}
	return p, p.PPID != 0 || pid == 1
}

// Status is one line of /proc/PID/status.
func (p Process) Status(key string) string { return p.status[key] }

// SignalSet reads a mask such as SigBlk or ShdPnd as signal numbers.
func (p Process) SignalSet(key string) []int {
	mask, err := strconv.ParseUint(p.status[key], 16, 64)
	if err != nil {
		return nil
	}
	var set []int
	for n := 1; n <= 64; n++ {
		if mask&(1<<(n-1)) != 0 {
			set = append(set, n)
		}
	}
	return set
}

// FDs are the open descriptors and what they lead to.
func FDs(pid int) map[int]string {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	open := make(map[int]string)
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			open[n], _ = os.Readlink(filepath.Join(dir, e.Name()))
		}
	}
	return open
}

// Cwd is the working directory of a process.
func Cwd(pid int) string {
	cwd, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	return cwd
}

// CPU is what a process has used so far, to the hundredth of a second.
func CPU(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func allProcesses() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := Look(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// Children are the children of a process, zombies included.
func Children(pid int) []Process {
	var found []Process
	for _, child := range childrenOf(pid) {
		if p, ok := Look(child); ok {
			found = append(found, p)
		}
	}
	return found
}

// Descendants are all that is below a process.
func Descendants(pid int) []Process {
	var found []Process
	for parents := []int{pid}; len(parents) > 0; parents = parents[1:] {
		for _, p := range Children(parents[0]) {
			found = append(found, p)
			parents = append(parents, p.PID)
		}
	}
	return found
}

// childrenOf asks each thread for the children that it has started.
func childrenOf(pid int) []int {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var children []int
	for _, thread := range threads {
		text, err := os.ReadFile(filepath.Join(dir, thread.Name(), "children"))
		if os.IsNotExist(err) {
			continue // the thread has ended
		}
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// Alive reports whether a process exists and is no zombie.
func Alive(pid int) bool {
	p, ok := Look(pid)
	return ok && p.State != 'Z' && p.State != 'X'
}

// Kill signals any process by its PID in the tests' namespace.
func Kill(pid int, sig unix.Signal) error { return unix.Kill(pid, sig) }

// NewMark is a variable for the environment of a run without a Brood, by which
// Marked finds its processes.
func NewMark() string { return markName + "=" + newMark() }

// Marked are the processes of a run, wherever they hang in the tree.
func Marked(variable string) []Process { return marked(strings.TrimPrefix(variable, markName+"=")) }

// marked are the processes of one run, wherever they hang in the tree.
func marked(mark string) []Process {
	want := []byte(markName + "=" + mark)
	var found []Process
	for _, p := range allProcesses() {
		environ, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/environ")
		if err != nil || p.State == 'Z' {
			continue
		}
		if slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(e []byte) bool { return bytes.Equal(e, want) }) {
			found = append(found, p)
		}
	}
	return found
}
