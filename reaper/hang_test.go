package reaper_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/reaper"
)

// execHold makes the kernel ask before it executes one file, and leaves the
// question open: what a start from a dead disk looks like.
type execHold struct {
	t    *testing.T
	fd   int
	path string
}

func newExecHold(t *testing.T) execHold {
	t.Helper()
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		t.Skipf("cannot hold an exec up: fanotify_init needs CAP_SYS_ADMIN: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	// The thread of a vfork that is under way cannot be stopped, so a collection
	// would wait for the exec, and everybody for the collection.
	collects := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(collects) })
	h := execHold{t: t, fd: fd, path: filepath.Join(t.TempDir(), "slow")}
	copyFile(t, "/bin/true", h.path)
	if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, h.path); err != nil {
		t.Skipf("cannot hold an exec up: this kernel has no fanotify permission events: %v", err)
	}
	return h
}

// release answers the question that the kernel has put, waiting for it.
func (h execHold) release() {
	h.t.Helper()
	var buf [256]byte
	n, err := unix.Read(h.fd, buf[:])
	if err != nil || n < 24 {
		h.t.Fatalf("reading the exec event: %d bytes, %v", n, err)
	}
	// struct fanotify_event_metadata: the descriptor stands at offset 16.
	fd := buf[16:20]
	answer := append(append([]byte{}, fd...), unix.FAN_ALLOW, 0, 0, 0)
	if _, err := unix.Write(h.fd, answer); err != nil {
		h.t.Fatal(err)
	}
	_ = unix.Close(int(fd[0]) | int(fd[1])<<8)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// hang starts what is held up, and returns when that is so. What Start says comes on
// the channel.
func (h execHold) hang(in *harness) <-chan error {
	hung := make(chan error, 1)
	go func() {
		hung <- in.Start(reaper.Spec{
			Path: h.path, Args: []string{"slow"}, Stdout: 1, Stderr: 2,
			Exited: func(x reaper.Exit) { in.exits <- x },
		})
	}()
	in.eventually("the exec hangs", func() bool {
		poll := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n == 1
	})
	return hung
}

func TestAHangingStartDelaysNoExitOfAnother(t *testing.T) {
	hold := newExecHold(t)
	h := newHarness(t)
	quick := h.run("(exit 9) & read x < " + fifo(t)) // blocks until it is killed
	hung := hold.hang(h)
	if err := quick.SignalGroup(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if x := h.next(); x.PID != quick.PID() || x.Signal != unix.SIGKILL {
		t.Fatalf("got the exit of %d: %+v; want the killed one", x.PID, x.Status)
	}
	hold.release()
	if err := <-hung; err != nil {
		t.Fatal(err)
	}
	if x := h.next(); !x.Success() {
		t.Errorf("the start that hung ended with %+v", x.Status)
	}
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The PID of what is being started is not known until it is executed, and still
// it is not taken for an orphan, and no orphan for it.
func TestAHangingStartLeavesNoOrphanAZombie(t *testing.T) {
	hold := newExecHold(t)
	h := newHarness(t)
	gate := fifo(t)
	parent := h.run("(read x <" + gate + "; exit 9) & exit 0") // leaves one that waits
	if x := h.next(); x.PID != parent.PID() || !x.GroupAlive {
		t.Fatalf("got the exit of %d: %+v", x.PID, x)
	}
	hung := hold.hang(h)
	if err := os.WriteFile(gate, []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	h.eventually("the orphan is reaped", func() bool { return h.orphanCount() == 1 })
	hold.release()
	if err := <-hung; err != nil {
		t.Fatal(err)
	}
	if x := h.next(); !x.Success() || h.orphanCount() != 1 {
		t.Errorf("the start that hung ended with %+v, and there were %d orphans", x.Status, h.orphanCount())
	}
}
