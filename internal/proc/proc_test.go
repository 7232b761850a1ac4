package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const status = "Name:\tUid:\\tx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4242\nNgid:\t0\nPid:\t4243\nPPid:\t1\n" +
	"Uid:\t1000\t1001\t1002\t1003\nGid:\t5\t5\t5\t5\n"

func TestParseStatus(t *testing.T) {
	got, ok := parseStatus([]byte(status))
	want := identity{tgid: 4242, real: 1000, effective: 1001, saved: 1002}
	if !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	for name, text := range map[string]string{
		"empty":        "",
		"no tgid":      strings.Replace(status, "Tgid", "Tgit", 1),
		"three uids":   strings.Replace(status, "\t1003", "", 1),
		"huge uid":     strings.Replace(status, "1001", "4294967296", 1),
		"signed uid":   strings.Replace(status, "1001", "-1", 1),
		"cut off":      strings.SplitAfter(status, "\t1002")[0],
		"cut a number": status[:strings.Index(status, "\nGid")],
	} {
		if got, ok := parseStatus([]byte(text)); ok {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func TestParseIO(t *testing.T) {
	const text = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 18446744073709551615\ncancelled_write_bytes: 7\n"
	r, w, ok := parseIO([]byte(text))
	if !ok || r != 4096 || w != 1<<64-1 {
		t.Errorf("got %d, %d, %v", r, w, ok)
	}
	for _, bad := range []string{"", "read_bytes: 1\n", "read_bytes: 1\nwrite_bytes: x\n", "read_bytes: 1\nwrite_bytes: 12"} {
		if r, w, ok := parseIO([]byte(bad)); ok {
			t.Errorf("%q: read as %d, %d", bad, r, w)
		}
	}
}

func TestMyselfAsOthersSeeMe(t *testing.T) {
	var fs FS
	r, e, s, err := fs.UIDs(os.Getpid())
	if err != nil || int(r) != os.Getuid() || int(e) != os.Geteuid() || int(s) != os.Geteuid() {
		t.Errorf("users %d, %d, %d, %v", r, e, s, err)
	}
	if _, _, err := fs.IO(os.Getpid()); err != nil && !errors.Is(err, unix.EACCES) && !Gone(err) {
		t.Errorf("io: %v", err)
	}
	if _, _, err := fs.IO(1 << 30); !Gone(err) {
		t.Errorf("io of nobody: %v", err)
	}
	if _, _, _, err := fs.UIDs(1 << 30); !Gone(err) {
		t.Errorf("users of nobody: %v", err)
	}
	pids, err := fs.PIDs()
	if err != nil || !slices.Contains(pids, os.Getpid()) || !slices.IsSorted(pids) {
		t.Errorf("processes %v, %v", pids, err)
	}
}

func TestAThreadIsToldFromAProcess(t *testing.T) {
	numbers, stop := make(chan int), make(chan struct{})
	defer close(stop)
	for range 2 { // one of them may be on the first thread, whose number is the PID
		go func() {
			runtime.LockOSThread()
			numbers <- unix.Gettid()
			<-stop
		}()
	}
	for range 2 {
		tid := <-numbers
		tgid, err := FS("").TGID(tid)
		if err != nil || tgid != os.Getpid() {
			t.Errorf("thread %d: process %d, %v, want %d", tid, tgid, err, os.Getpid())
		}
	}
}

func TestDescendantsAreFoundByTheirParents(t *testing.T) {
	root := t.TempDir()
	for _, p := range []struct {
		pid, ppid int
		state     byte
	}{
		{1, 0, 'S'},
		{10, 1, 'S'},
		{11, 10, 'Z'},
		{12, 10, 'S'},
		{5, 12, 'D'},
		{20, 1, 'S'},
		{21, 20, 'S'},
		{30, 31, 'S'},
		{31, 30, 'S'}, // a circle, as PIDs recycled during the walk can make
		{40, 40, 'S'},
	} {
		s := sample()
		s.PID, s.PPID, s.State = p.pid, p.ppid, p.state
		write(t, filepath.Join(root, fmt.Sprint(p.pid), "stat"), statLine(s))
	}
	write(t, filepath.Join(root, "13", "stat"), "") // ended between the listing and the look
	write(t, filepath.Join(root, "uptime"), "1 2")
	write(t, filepath.Join(root, "99999999999", "stat"), "")

	for root0, want := range map[int][]int{10: {11, 12, 5}, 1: {10, 20, 11, 12, 21, 5}, 5: nil, 30: {31}, 40: nil, 4711: nil} {
		found, err := FS(root).Descendants(root0)
		if err != nil {
			t.Fatal(err)
		}
		var pids []int
		for _, s := range found {
			pids = append(pids, s.PID)
		}
		if !slices.Equal(pids, want) {
			t.Errorf("descendants of %d: %v, want %v", root0, pids, want)
		}
	}
	if _, err := FS(filepath.Join(root, "missing")).Descendants(1); err == nil {
		t.Error("no error without a /proc")
	}
}

func TestTheClockAddsTheOffset(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := Clock{Offset: time.Duration(start.UnixNano())}
	if got := c.Started(12345).UTC(); !got.Equal(start.Add(123450 * time.Millisecond)) {
		t.Errorf("got %v", got)
	}
}

func TestTheBootOffsetIsSteady(t *testing.T) {
	// Slewing moves it by 0.5 ms a second at most; the rest is a noisy machine.
	first := BootOffset()
	for range 100 {
		if d := (BootOffset() - first).Abs(); d > 50*time.Millisecond {
			t.Fatalf("moved by %v", d)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Tgid:\t1\nUid:\t1\t2\t3\t4\n"))
	f.Add([]byte("Uid:\t\t\t\t\nTgid:\t\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, ok := parseStatus(text)
		if !ok {
			return
		}
		again, ok := parseStatus(fmt.Appendf(nil, "Tgid:\t%d\nUid:\t%d\t%d\t%d\t0\n", id.tgid, id.real, id.effective, id.saved))
		if !ok || again != id {
			t.Errorf("%q: read %+v, printed and read again %+v", text, id, again)
		}
	})
}

func FuzzParseIO(f *testing.F) {
	f.Add([]byte("read_bytes: 1\nwrite_bytes: 2\n"))
	f.Add([]byte("write_bytes: \nread_bytes: 18446744073709551616\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, w, ok := parseIO(text)
		if !ok {
			return
		}
		r2, w2, ok := parseIO(fmt.Appendf(nil, "read_bytes: %d\nwrite_bytes: %d\n", r, w))
		if !ok || r2 != r || w2 != w {
			t.Errorf("%q: read %d, %d", text, r, w)
		}
	})
}

func TestChildrenAreListed(t *testing.T) {
	shell := exec.Command("sh", "-c", "sleep 60 & wait")
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		children, err := FS("").Children(shell.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if len(children) == 1 {
			defer func() { _ = syscall.Kill(children[0], syscall.SIGKILL) }()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("children of the shell: %v", children)
		}
	}
	_ = shell.Process.Kill()
	_ = shell.Wait()
}

func TestAProcOfOthersIsNotBelieved(t *testing.T) {
	if got := FS("").Ours(); got != "" {
		t.Errorf("our own /proc became %q", got)
	}
	dir := t.TempDir()
	if got := FS(dir).Ours(); got != None {
		t.Errorf("an empty directory is believed: %q", got)
	}
	if err := os.Symlink("999999", dir+"/self"); err != nil {
		t.Fatal(err)
	}
	if got := FS(dir).Ours(); got != None {
		t.Errorf("the /proc of others is believed: %q", got)
	}
	if _, err := None.Stat(os.Getpid()); err == nil || Gone(err) {
		t.Errorf("None tells that a process is gone: %v", err)
	}
}
