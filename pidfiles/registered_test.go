package pidfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bothWays runs a test with pidfds, and where they are refused.
func bothWays(t *testing.T, test func(t *testing.T, o Options, pidfds bool)) {
	t.Helper()
	for name, err := range map[string]error{"pidfd": nil, "old kernel": unix.ENOSYS, "seccomp": unix.EPERM, "out of descriptors": unix.EMFILE} {
		t.Run(name, func(t *testing.T) {
			var o Options
			if err != nil {
				o.Sys.PidfdOpen = func(int) (int, error) { return -1, err }
			}
			test(t, o, err == nil)
		})
	}
}

func TestARegisteredProcessFromItsFileToItsEnd(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options, pidfds bool) {
		d := opened(t, o)
		target := sleeper(t, 0)
		put(t, d.Pattern().Path(12), target.Process.Pid)
		put(t, d.Pattern().Path(0), fmt.Sprintln(target.Process.Pid))
		put(t, d.Pattern().Path(7), fmt.Sprintln(target.Process.Pid))

		found := listed(t, d)
		if len(found) != 1 {
			t.Fatalf("listed %+v", found)
		}
		r := found[0]
		if r.Index != 0 || !slices.Equal(r.Indices, []int{0, 7, 12}) || r.PID != target.Process.Pid || r.Comm != "sleep" || r.StartTicks == 0 {
			t.Errorf("got %+v", r)
		}
		if d.Degraded() == pidfds || (r.FD() >= 0) != pidfds {
			t.Errorf("degraded %v, pidfd %d", d.Degraded(), r.FD())
		}
		if r.Ended() {
			t.Error("ended before its time")
		}
		if again := listed(t, d); len(again) != 1 || again[0].ID() != r.ID() {
			t.Errorf("a second time: %+v", again)
		}
		must(t, r.Signal(0))
		must(t, r.Signal(syscall.SIGTERM))
		eventually(t, "its end is seen before it is reaped", r.Ended)
		if err := target.Wait(); err == nil || target.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("ended with %v", err)
		}
		if !r.Ended() {
			t.Error("lives again")
		}
		if err := r.Signal(syscall.SIGTERM); !errors.Is(err, ErrEnded) {
			t.Errorf("signal to the dead: %v", err)
		}
		must(t, r.Close())
		must(t, r.Close())
		if err := r.Signal(syscall.SIGTERM); err == nil || r.FD() != -1 {
			t.Errorf("after Close: %v, pidfd %d", err, r.FD())
		}
	})
}

func TestSkippedProcessesAreNeitherListedNorAProblem(t *testing.T) {
	d := opened(t, Options{Sys: Sys{PidfdOpen: func(pid int) (int, error) {
		t.Errorf("looked at %d", pid)
		return -1, unix.ESRCH
	}}})
	mine, dead := sleeper(t, 0).Process.Pid, deadPID(t)
	must(t, d.Write(1, mine))
	put(t, d.Pattern().Path(2), dead)
	found, problems := d.List(func(pid int) bool { return pid == mine || pid == dead })
	if len(found)+len(problems) > 0 {
		t.Errorf("listed %v, problems %v", found, problems)
	}
}

func TestAProcessThatEndsWhileItIsLookedAtIsNotListed(t *testing.T) {
	target := sleeper(t, 0)
	d := opened(t, Options{Sys: Sys{PidfdOpen: func(pid int) (int, error) {
		fd, err := unix.PidfdOpen(pid, 0)
		end(t, target)
		return fd, err
	}}})
	put(t, d.Pattern().Path(1), target.Process.Pid)
	found, problems := d.List(nil)
	if len(found) != 0 || len(problems) != 1 || problems[0].Kind != Stale {
		t.Errorf("listed %v, problems %v", found, problems)
	}
}

func TestADescriptorIsGivenBackForEachProcessNotListed(t *testing.T) {
	d := opened(t, Options{})
	target := sleeper(t, 0)
	for i := range 3 {
		put(t, d.Pattern().Path(i), target.Process.Pid)
	}
	put(t, d.Pattern().Path(8), target.Process.Pid)
	backdate(t, d.Pattern().Path(8), time.Hour)
	put(t, d.Pattern().Path(9), "bad")
	before := openDescriptors(t)
	for range 20 {
		found, _ := d.List(nil)
		for _, r := range found {
			must(t, r.Close())
		}
		d.CleanStale()
		_ = d.Write(0, os.Getpid())
		_ = d.Remove(0, os.Getpid())
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func TestAClockThatWasSetMakesNoStrangers(t *testing.T) {
	const pid, startTicks = 4242, 1000_00 // 1000 s after boot
	const hour = time.Hour
	for _, tt := range []struct {
		name          string
		atOpen, now   time.Duration // boot offsets
		writtenAt     time.Duration // of the wall clock
		want          bool
		withoutPidfds bool
	}{
		{name: "steady", writtenAt: 1005 * time.Second, want: true},
		{name: "in the second of its start", writtenAt: 1000 * time.Second, want: true},
		{name: "a file time that lags", writtenAt: 999 * time.Second, want: true},
		{name: "written before its start", writtenAt: 998 * time.Second, want: false},
		{name: "set forward after the writing", now: hour, writtenAt: 1005 * time.Second, want: true},
		{name: "set forward before the writing", now: hour, writtenAt: 1005*time.Second + hour, want: true},
		{name: "set back before the writing", atOpen: hour, writtenAt: 1005 * time.Second, want: true},
		{name: "set back, and recycled under both", atOpen: hour, writtenAt: 500 * time.Second, want: false},
		{name: "set forward, and recycled under both", now: hour, writtenAt: 500 * time.Second, want: false},
	} {
		d := &Dir{opened: tt.atOpen, sys: Sys{
			Proc:       fakeProc(t, pid, startTicks, 'S'),
			BootOffset: func() time.Duration { return tt.now },
			PidfdOpen:  func(int) (int, error) { return -1, unix.ENOSYS },
		}.withDefaults()}
		_, problem := d.identify(claim{pid: pid, wrote: time.Unix(0, int64(tt.writtenAt))})
		if (problem == nil) != tt.want || problem != nil && problem.Kind != Recycled {
			t.Errorf("%s: %v, want it believed: %v", tt.name, problem, tt.want)
		}
	}
}

func TestWithoutPidfdsARecycledPIDIsNotHit(t *testing.T) {
	const pid = 4242
	fs := fakeProc(t, pid, 100, 'S')
	var killed []syscall.Signal
	d := opened(t, Options{Sys: Sys{
		Proc:       fs,
		BootOffset: func() time.Duration { return 0 },
		PidfdOpen:  func(int) (int, error) { return -1, unix.ENOSYS },
		Kill:       func(_ int, s syscall.Signal) error { killed = append(killed, s); return nil },
	}})
	put(t, d.Pattern().Path(1), pid)
	r := listed(t, d)[0]
	must(t, r.Signal(syscall.SIGUSR1))

	setStat(t, fs, pid, 101, 'S')
	if err := r.Signal(syscall.SIGTERM); !errors.Is(err, ErrEnded) || !r.Ended() {
		t.Errorf("signal to the next one: %v, ended %v", err, r.Ended())
	}
	setStat(t, fs, pid, 100, 'Z')
	if err := r.Signal(syscall.SIGKILL); !errors.Is(err, ErrEnded) || !r.Ended() {
		t.Errorf("signal to a zombie: %v, ended %v", err, r.Ended())
	}
	if !slices.Equal(killed, []syscall.Signal{syscall.SIGUSR1}) {
		t.Errorf("killed with %v", killed)
	}
}

func TestAFilterOnPidfdSignalsIsTriedAround(t *testing.T) {
	for _, refusal := range []error{unix.ENOSYS, unix.EPERM} {
		var killed []int
		var answer error
		d := opened(t, Options{Sys: Sys{
			PidfdSendSignal: func(int, syscall.Signal) error { return refusal },
			Kill:            func(pid int, _ syscall.Signal) error { killed = append(killed, pid); return answer },
		}})
		target := sleeper(t, 0)
		put(t, d.Pattern().Path(1), target.Process.Pid)
		r := listed(t, d)[0]

		answer = unix.EPERM // it was no filter then
		if err := r.Signal(syscall.SIGTERM); !errors.Is(err, fs.ErrPermission) || d.Degraded() {
			t.Errorf("%v: %v, degraded %v", refusal, err, d.Degraded())
		}
		answer = nil
		must(t, r.Signal(syscall.SIGTERM))
		if !slices.Equal(killed, []int{r.PID, r.PID}) || !d.Degraded() {
			t.Errorf("%v: killed %v, degraded %v", refusal, killed, d.Degraded())
		}
		end(t, target)
		if err := r.Signal(syscall.SIGTERM); !errors.Is(err, ErrEnded) || len(killed) != 2 {
			t.Errorf("%v: %v, killed %v", refusal, err, killed)
		}
	}
}

func TestAProcessOfAnotherUserRefusesTheSignalAndSaysSo(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may signal everybody")
	}
	parent := os.Getppid()
	if st, err := os.Stat(fmt.Sprintf("/proc/%d", parent)); err != nil || parent <= 1 || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Skip("needs a parent of root's")
	}
	d := opened(t, Options{})
	put(t, d.Pattern().Path(1), parent)
	found := listed(t, d)
	if len(found) != 1 {
		t.Fatalf("listed %+v", found)
	}
	if err := found[0].Signal(0); !errors.Is(err, fs.ErrPermission) || d.Degraded() {
		t.Errorf("got %v, degraded %v", err, d.Degraded())
	}
}

func TestAShellRegistersItself(t *testing.T) {
	d := opened(t, Options{})
	cmd := exec.Command("/bin/sh", "-c", `echo $$ > "$1"; read forever`, "sh", d.Pattern().Path(0))
	stdin, err := cmd.StdinPipe()
	must(t, err)
	if err := cmd.Start(); err != nil {
		t.Skip("no shell:", err)
	}
	t.Cleanup(func() { end(t, cmd) })
	defer stdin.Close()
	eventually(t, "the shell is listed", func() bool {
		found, _ := d.List(nil)
		closeAll(t, found)
		return len(found) == 1 && found[0].PID == cmd.Process.Pid
	})
}
