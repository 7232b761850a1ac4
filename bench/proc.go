package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// statusField is a field of a process's status.
func statusField(pid int, field string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(string(text), field)
}

// switches is how often each thread of a process was switched away from, of its
// own will or not.
func switches(pid int) (map[string]int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		return nil, fmt.Errorf("cannot find the threads of process %d", pid)
	}
	all := make(map[string]int, len(tasks))
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			return nil, err
		}
		for _, field := range []string{"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"} {
			n, err := parseStatus(string(text), field)
			if err != nil {
				return nil, err
			}
			all[task] += n
		}
	}
	return all, nil
}

// zombies counts the children that a process has not waited for.
func zombies(pid int) (int, error) {
	all, err := children(pid)
	n := 0
	for _, child := range all {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", child))
		if err == nil && strings.Contains(string(status), "\nState:\tZ") {
			n++
		}
	}
	return n, err
}

// children lists those of all threads of a process.
func children(pid int) (pids []int, err error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		return nil, fmt.Errorf("cannot find the children of process %d", pid)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// descendants lists whom a process has below it. One that ends meanwhile has
// none.
func descendants(pid int) []int {
	all, _ := children(pid)
	for _, child := range slices.Clone(all) {
		all = append(all, descendants(child)...)
	}
	return all
}

// killAll kills a process and whom it has below it. They go first: their parent is
// how they are found. Some can have been started meanwhile.
func killAll(pid int) error {
	for range 3 {
		for _, below := range descendants(pid) {
			_ = syscall.Kill(below, syscall.SIGKILL) // it may have ended
		}
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// alive reports whether there is such a process.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func parseStatus(text, field string) (int, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return 0, fmt.Errorf("cannot find %s", field)
}
