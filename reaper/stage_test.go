package reaper_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/staging"
	"github.com/brood-init/brood/reaper"
)

// staged starts a command through the stage, as fanout does.
func (h *harness) staged(s *staging.Stage, c staging.Command, spec reaper.Spec) error {
	h.t.Helper()
	l, err := s.Prepare(c)
	if err != nil {
		h.t.Fatal(err)
	}
	defer l.Close()
	spec.Name, spec.Path, spec.Args, spec.Env = c.Path, l.Path, l.Args, l.Env
	spec.Inherit, spec.Confirm = l.Inherit, l.Confirm
	spec.Stdout, spec.Stderr = 1, 2
	return h.Start(spec)
}

func newStage(t *testing.T) *staging.Stage {
	t.Helper()
	s, err := staging.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestAStagedProcessIsStartedAndEndsLikeAnyOther(t *testing.T) {
	h, s := newHarness(t), newStage(t)
	for _, code := range []int{0, 7, 255} {
		var pid int
		script := "exit " + strconv.Itoa(code)
		err := h.staged(s, staging.Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}}, reaper.Spec{
			Started: func(p *reaper.Process, _ time.Time) { pid = p.PID() },
			Exited:  func(x reaper.Exit) { h.exits <- x },
		})
		if err != nil {
			t.Fatal(err)
		}
		if x := h.next(); x.Code != code || x.PID != pid {
			t.Errorf("process %d ended with %+v, want code %d of %d", x.PID, x.Status, code, pid)
		}
	}
}

func TestAStartThatFailsOnTheStageIsNoStartAndNoOrphan(t *testing.T) {
	h, s := newHarness(t), newStage(t)
	for range 50 {
		err := h.staged(s, staging.Command{Path: "/nowhere", Args: []string{"x"}}, reaper.Spec{
			Started: func(*reaper.Process, time.Time) { t.Error("Started was called for a process that never was") },
			Exited:  func(reaper.Exit) { t.Error("Exited was called for a process that never was") },
		})
		if !errors.Is(err, unix.ENOENT) || err.Error() != `cannot start "/nowhere": no such file or directory` {
			t.Fatal(err)
		}
	}
	h.eventually("all are reaped", func() bool { return !h.HasChildren() })
	if n := h.orphanCount(); n != 0 {
		t.Errorf("%d of them were taken for orphans", n)
	}
}

var errRefused = errors.New("refused")

// The process would run for ever: the reaper ends what is not confirmed.
func TestAProcessThatIsNotConfirmedIsKilled(t *testing.T) {
	h := newHarness(t)
	err := h.Start(reaper.Spec{
		Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Stdout: 1, Stderr: 2,
		Confirm: func() error { return errRefused },
		Exited:  func(reaper.Exit) { t.Error("Exited was called") },
	})
	if !errors.Is(err, errRefused) {
		t.Errorf("the error is %v", err)
	}
	h.eventually("it is reaped", func() bool { return !h.HasChildren() })
	if h.orphanCount() != 0 {
		t.Error("it was taken for an orphan")
	}
}

// It dies and is reaped while Confirm waits, and orphans come and go as well.
func TestAnExitDuringConfirmComesAfterTheStart(t *testing.T) {
	for name, refuse := range map[string]error{"confirmed": nil, "refused": errRefused} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			var order []string
			err := h.Start(reaper.Spec{
				Path: "/bin/sh", Args: []string{"sh", "-c", "(exit 3) & (exit 4) & exit 9"}, Stdout: 1, Stderr: 2,
				Confirm: func() error {
					h.eventually("it and what it left are reaped", func() bool { return !h.HasChildren() })
					order = append(order, "confirmed")
					return refuse
				},
				Started: func(*reaper.Process, time.Time) { order = append(order, "started") },
				Exited: func(x reaper.Exit) {
					order = append(order, "exited")
					h.exits <- x
				},
			})
			if !errors.Is(err, refuse) {
				t.Fatal(err)
			}
			want := "confirmed"
			if refuse == nil {
				want = "confirmed started exited"
				if x := h.next(); x.Code != 9 {
					t.Errorf("it ended with %+v", x.Status)
				}
			}
			if got := strings.Join(order, " "); got != want {
				t.Errorf("the order is %q, want %q", got, want)
			}
		})
	}
}

// The fork of a direct start holds up the collector, and with it all of brood,
// until the kernel has executed the file. On the stage it is another process
// that waits for the disk.
func TestAServiceThatHangsInItsExecHoldsUpNobody(t *testing.T) {
	hold := newExecHold(t)
	h, s := newHarness(t), newStage(t)
	quick := h.run("exec sleep 1000")
	hung := make(chan error, 1)
	go func() {
		hung <- h.staged(s, staging.Command{Path: hold.path, Args: []string{"slow"}}, reaper.Spec{
			Exited: func(x reaper.Exit) { h.exits <- x },
		})
	}()
	h.eventually("the exec hangs", func() bool {
		poll := []unix.PollFd{{Fd: int32(hold.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n == 1
	})
	runtime.GC()
	if err := quick.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if x := h.next(); x.PID != quick.PID() {
		t.Errorf("the exit of %d: %+v", x.PID, x.Status)
	}
	hold.release()
	if err := <-hung; err != nil {
		t.Fatal(err)
	}
	if x := h.next(); !x.Success() {
		t.Errorf("the start that hung ended with %+v", x.Status)
	}
}

func TestAStopComesAfterTheStart(t *testing.T) {
	h := newHarness(t)
	started, stopped := false, make(chan bool, 1)
	var p *reaper.Process
	file := filepath.Join(t.TempDir(), "pid")
	err := h.Start(reaper.Spec{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo $$ >" + file + "; kill -STOP $$; exit 6"}, Stdout: 1, Stderr: 2,
		Confirm: func() error {
			h.eventually("it is stopped", func() bool {
				pid, _ := os.ReadFile(file)
				stat, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
				return strings.Contains(string(stat), "(sh) T ")
			})
			return nil
		},
		Started: func(q *reaper.Process, _ time.Time) { p, started = q, true },
		Stopped: func(unix.Signal) { stopped <- started },
		Exited:  func(x reaper.Exit) { h.exits <- x },
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case after := <-stopped:
		if !after {
			t.Error("Stopped was called before Started")
		}
	case <-time.After(fatalWait):
		t.Fatal("the stop was not told")
	}
	if err := p.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if x := h.next(); x.Code != 6 {
		t.Errorf("it ended with %+v", x.Status)
	}
}

func TestWhatIsInheritedIsCloseOnExecAgainAfterwards(t *testing.T) {
	h := newHarness(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	fd := int(write.Fd())
	for _, path := range []string{"/bin/sh", "/nowhere"} {
		err := h.Start(reaper.Spec{
			Path: path, Args: []string{"sh", "-c", "echo here >&" + strconv.Itoa(fd)}, Stdout: 1, Stderr: 2, Inherit: []int{fd},
			Exited: func(x reaper.Exit) { h.exits <- x },
		})
		if (err != nil) != (path == "/nowhere") {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("after starting %s the flags are %d, %v", path, flags, err)
		}
	}
	h.next()
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := read.Read(buf); err != nil || string(buf[:n]) != "here\n" {
		t.Errorf("%q, %v came through it", buf[:n], err)
	}
	err = h.Start(reaper.Spec{Name: "web", Path: "/bin/true", Args: []string{"true"}, Stdout: 1, Stderr: 2, Inherit: []int{1 << 20}})
	if !errors.Is(err, unix.EBADF) || err.Error() != `cannot start "web": cannot pass descriptor 1048576: bad file descriptor` {
		t.Errorf("a closed descriptor: %v", err)
	}
}

func TestAStagedStormLosesAndMixesUpNothing(t *testing.T) {
	h, s := newHarness(t), newStage(t)
	const n = 300
	want, got := [256]int{}, [256]int{}
	for i := range n {
		path := "/bin/sh"
		if i%7 == 0 {
			path = "/nowhere"
		} else {
			want[i%256]++
		}
		err := h.staged(s, staging.Command{Path: path, Args: []string{"sh", "-c", "( (exit 77) & ); exit " + strconv.Itoa(i%256)}}, reaper.Spec{
			Exited: func(x reaper.Exit) { h.exits <- x },
		})
		if (err != nil) != (path == "/nowhere") {
			t.Fatal(err)
		}
	}
	for range n - (n+6)/7 {
		got[h.next().Code]++
	}
	if got != want {
		t.Errorf("codes\n%v, want\n%v", got, want)
	}
	h.eventually("all orphans are counted", func() bool { return h.orphanCount() == n-(n+6)/7 })
}
