package harness

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Workers are brood's children that live, by their PIDs here. While brood runs
// that may include hooks and adopted orphans.
func (b *Brood) Workers() []int {
	var pids []int
	for _, p := range Children(b.PID) {
		if p.State != 'Z' {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// Zombies are brood's children that have ended and were not reaped.
func (b *Brood) Zombies() []int {
	var pids []int
	for _, p := range Children(b.PID) {
		if p.State == 'Z' {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// Outer translates a PID as brood sees it into one of the tests' namespace, or
// 0 when there is no such process below brood.
func (b *Brood) Outer(inner int) int {
	if !b.PID1 {
		return inner
	}
	for _, p := range Descendants(b.PID) {
		if p.Inner == inner {
			return p.PID
		}
	}
	return 0
}

// SlotFile is the PID file for a number, or for "master".
func (b *Brood) SlotFile(i string) string {
	ext := filepath.Ext(b.PIDFile)
	return strings.TrimSuffix(b.PIDFile, ext) + "." + i + ext
}

// Slot waits for the worker of a slot and returns its PID here. What happens to
// the worker then happens to one that brood knows to run.
func (b *Brood) Slot(n int) (pid int) {
	b.t.Helper()
	b.until("slot "+strconv.Itoa(n)+" has a worker", func() bool {
		pid = b.slotNow(n)
		return pid != 0
	})
	return pid
}

func (b *Brood) slotNow(n int) int {
	text, err := os.ReadFile(b.SlotFile(strconv.Itoa(n)))
	if err != nil {
		return 0
	}
	inner, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	if pid := b.Outer(inner); pid != 0 && Alive(pid) && b.hasToldOfStart(n, inner) {
		return pid
	}
	return 0
}

// hasToldOfStart reports whether the log tells of a start, if there is one. The
// PID file is there before brood's engine counts the worker, and a stop signal
// in between finds nobody to stop.
func (b *Brood) hasToldOfStart(slot, inner int) bool {
	return b.Stderr == nil || b.Stderr.hasEnded() ||
		b.Stderr.Find(`msg="worker started"`, " slot="+strconv.Itoa(slot)+" ", " pid="+strconv.Itoa(inner)+" ") != ""
}

// until is Until with the patience of this run.
func (b *Brood) until(what string, is func() bool) {
	b.t.Helper()
	if !Within(b.patience, is) {
		b.t.Fatalf("it never came about that %s; brood said:\n%s", what, b.said())
	}
}

// SlotAfter waits for another worker in a slot than the one before.
func (b *Brood) SlotAfter(n, before int) (pid int) {
	b.t.Helper()
	b.until("slot "+strconv.Itoa(n)+" has another worker", func() bool {
		pid = b.slotNow(n)
		return pid != 0 && pid != before
	})
	return pid
}

// PIDFiles are the names in the directory of the PID files.
func (b *Brood) PIDFiles() []string {
	entries, _ := os.ReadDir(filepath.Dir(b.PIDFile))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// Left are the processes of this run that are alive.
func (b *Brood) Left() []Process { return marked(b.mark) }

// checkNothingLeft ends what a failed test has left, and fails one that should
// have left nothing.
func (b *Brood) checkNothingLeft(o Options) {
	if !b.HasEnded() {
		if !b.t.Failed() {
			b.t.Errorf("the test is over and brood is still running; it said:\n%s", b.said())
		}
		_ = b.cmd.Process.Kill()
		<-b.ended
		killAll(b.mark)
		return
	}
	if left := b.Left(); len(left) > 0 {
		if !o.LeavesProcesses {
			for _, p := range left {
				b.t.Errorf("left behind: process %d (%s)", p.PID, p.Comm)
			}
			b.t.Logf("brood said:\n%s", b.said())
		}
		killAll(b.mark)
	}
	if b.PIDFile == "" || o.LeavesFiles || b.t.Failed() {
		return
	}
	if names := b.PIDFiles(); len(names) > 0 {
		b.t.Errorf("left behind: PID files %q; it said:\n%s", names, b.said())
	}
}

func killAll(mark string) {
	Within(Fatal, func() bool {
		left := marked(mark)
		for _, p := range left {
			_ = Kill(p.PID, syscall.SIGKILL)
		}
		return len(left) == 0
	})
}

// File waits for a file with content and returns it.
func File(t testing.TB, path string) (text string) {
	t.Helper()
	Until(t, path+" has content", func() bool {
		b, err := os.ReadFile(path)
		text = string(b)
		return err == nil && text != ""
	})
	return text
}

// Content is what a file holds now, "" if there is none.
func Content(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

// Touch makes a file that others wait for.
func Touch(path string) error { return os.WriteFile(path, []byte("x\n"), 0o644) }
