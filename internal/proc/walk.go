package proc

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// PIDs lists the processes of the PID namespace of the mount, in ascending
// order; threads are not among them. It may miss one that starts meanwhile.
func (fs FS) PIDs() ([]int, error) {
	dir, err := os.Open(fs.root())
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, ok := decimal([]byte(name)); ok && pid > 0 && pid <= 1<<31-1 {
			pids = append(pids, int(pid))
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// Descendants returns the children of root, their children and so on, parents
// before children and root itself left out. Zombies are included, with their
// State, for the caller to decide.
//
// It is one walk over a tree that grows and shrinks meanwhile: a process whose
// parent ended during the walk can be missed, so a caller that must catch all
// of them repeats the walk until it finds none.
func (fs FS) Descendants(root int) ([]Stat, error) {
	pids, err := fs.PIDs()
	if err != nil {
		return nil, err
	}
	children := make(map[int][]Stat, len(pids))
	for _, pid := range pids {
		s, err := fs.Stat(pid)
		if err != nil {
			continue // ended meanwhile, or hidden from us: no descendant that we could act on
		}
		children[s.PPID] = append(children[s.PPID], s)
	}
	var found []Stat
	seen := map[int]bool{root: true} // PIDs recycled during the walk could close a circle
	for next := []int{root}; len(next) > 0; next = next[1:] {
		for _, child := range children[next[0]] {
			if seen[child.PID] {
				continue
			}
			seen[child.PID] = true
			found = append(found, child)
			next = append(next, child.PID)
		}
	}
	return found, nil
}

// Children lists the children of a process's first thread, which is where a
// program without threads has all of them. It takes a kernel with
// CONFIG_PROC_CHILDREN (Linux 3.5), as all distributions build it.
func (fs FS) Children(pid int) ([]int, error) {
	name := strconv.Itoa(pid)
	text, err := os.ReadFile(fs.root() + "/" + name + "/task/" + name + "/children")
	if err != nil {
		return nil, err
	}
	var children []int
	for word := range strings.FieldsSeq(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("cannot read the children of process %d: %w", pid, err)
		}
		children = append(children, child)
	}
	return children, nil
}
