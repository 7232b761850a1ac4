package pidfiles

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestThereIsOneMasterUntilItDies(t *testing.T) {
	d := opened(t, Options{})
	path := d.Pattern().MasterPath()
	other := startMaster(t, d.Pattern())
	defer end(t, other.Cmd)

	_, err := d.LockMaster(os.Getpid())
	var claim *ClaimError
	if !errors.Is(err, ErrMasterAlive) || !errors.As(err, &claim) || claim.PID != other.Process.Pid || claim.Path != path {
		t.Fatalf("got %v", err)
	}
	if errors.Is(err, ErrTaken) {
		t.Error("the two errors are the same")
	}
	found, problem := d.FindMaster()
	if problem != nil || found == nil || found.PID != other.Process.Pid || found.Index != -1 {
		t.Fatalf("found %+v, %v", found, problem)
	}
	defer found.Close()

	// Its worker lives on, and has not inherited the lock.
	must(t, found.Signal(syscall.SIGKILL))
	_ = other.Wait()
	if err := unix.Kill(other.worker, 0); err != nil {
		t.Fatalf("the worker: %v", err)
	}
	if _, problem := d.FindMaster(); problem == nil || problem.Kind != Stale {
		t.Errorf("found a dead master: %v", problem)
	}
	m, err := d.LockMaster(os.Getpid())
	must(t, err)
	if got := get(t, path); got != fmt.Sprintln(os.Getpid()) {
		t.Errorf("content %q", got)
	}
	if st, err := os.Lstat(path); err != nil || st.Mode() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	must(t, m.Release())
	must(t, m.Release())
	if exists(path) {
		t.Error("the file is still there")
	}
	if found, problem := d.FindMaster(); found != nil || problem != nil {
		t.Errorf("found %v, %v", found, problem)
	}
}

func TestAMasterThatLeavesInOrderTakesItsFileAlong(t *testing.T) {
	d := opened(t, Options{})
	other := startMaster(t, d.Pattern())
	must(t, other.stdin.Close())
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	if exists(d.Pattern().MasterPath()) {
		t.Error("the file is still there")
	}
}

func TestTheSameProcessIsNotMasterTwice(t *testing.T) {
	d := opened(t, Options{})
	m, err := d.LockMaster(os.Getpid())
	must(t, err)
	if _, err := d.LockMaster(os.Getpid()); !errors.Is(err, ErrMasterAlive) {
		t.Errorf("got %v", err)
	}
	if _, problem := d.FindMaster(); problem == nil || problem.Kind != Self {
		t.Errorf("found ourselves: %v", problem)
	}
	if found, problems := d.List(nil); len(found)+len(problems) > 0 {
		t.Errorf("the master is listed: %v, %v", found, problems)
	}
	must(t, m.Release())
	again, err := d.LockMaster(os.Getpid())
	must(t, err)
	must(t, again.Release())
}

func TestWhatADeadMasterLeftIsNoObstacle(t *testing.T) {
	for _, content := range []string{"", "1\n", "4194304\n", "nonsense", strings.Repeat("9", 5000), "\x00\x00\x00"} {
		d := opened(t, Options{})
		put(t, d.Pattern().MasterPath(), content)
		m, err := d.LockMaster(4242)
		must(t, err)
		if got := get(t, d.Pattern().MasterPath()); got != "4242\n" {
			t.Errorf("%.20q became %.20q", content, got)
		}
		must(t, m.Release())
	}
}

func TestALockOnAFileThatLostItsNameIsWorthNothing(t *testing.T) {
	var d *Dir
	swaps := 0
	d = opened(t, Options{Sys: Sys{Flock: func(fd, how int) error {
		if swaps++; swaps <= 3 { // a master that leaves, or one that leaves and one that comes
			must(t, os.Remove(d.Pattern().MasterPath()))
			if swaps == 2 {
				put(t, d.Pattern().MasterPath(), "77")
			}
		}
		return unix.Flock(fd, how)
	}}})
	m, err := d.LockMaster(4242)
	must(t, err)
	if swaps != 4 || get(t, d.Pattern().MasterPath()) != "4242\n" {
		t.Errorf("after %d attempts %q", swaps, get(t, d.Pattern().MasterPath()))
	}
	if _, err := openedAt(t, d.Pattern().String(), Options{}).LockMaster(4243); !errors.Is(err, ErrMasterAlive) {
		t.Errorf("got %v", err)
	}
	must(t, m.Release())
}

func TestReleaseLeavesAFileOfSomebodyElseAlone(t *testing.T) {
	d := opened(t, Options{})
	path := d.Pattern().MasterPath()

	m, err := d.LockMaster(4242)
	must(t, err)
	must(t, os.Remove(path))
	put(t, path, "4242\n")
	must(t, m.Release())
	if !exists(path) {
		t.Error("removed the file of the same name")
	}

	m, err = d.LockMaster(4242)
	must(t, err)
	put(t, path, "4243\n")
	must(t, m.Release())
	if !exists(path) {
		t.Error("removed what it had not written")
	}
}

func TestLockMasterWritesThroughNoLink(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	d := openedAt(t, filepath.Join(dir, "run", "web.pid"), Options{})
	path := d.Pattern().MasterPath()
	put(t, precious, "precious")

	must(t, os.Symlink(precious, path))
	if _, err := d.LockMaster(4242); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("symbolic link: %v", err)
	}
	must(t, os.Remove(path))
	must(t, unix.Mkfifo(path, 0o644))
	if _, err := d.LockMaster(4242); err == nil || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("pipe: %v", err)
	}
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o755))
	if _, err := d.LockMaster(4242); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: %v", err)
	}
	must(t, os.Remove(path))
	must(t, os.Link(precious, path))
	m, err := d.LockMaster(4242)
	must(t, err)
	if get(t, precious) != "precious" || get(t, path) != "4242\n" {
		t.Errorf("hard link: %q and %q", get(t, precious), get(t, path))
	}
	must(t, m.Release())
}

func TestAMasterFileThatIsNotOursToWriteIsReplaced(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, string){"another user's": chown(12345), "read-only": chmod(0o444)} {
		t.Run(name, func(t *testing.T) {
			d := opened(t, Options{})
			path := d.Pattern().MasterPath()
			put(t, path, "77")
			spoil(t, path)
			m, err := d.LockMaster(4242)
			must(t, err)
			var st unix.Stat_t
			must(t, unix.Lstat(path, &st))
			if int(st.Uid) != os.Geteuid() || st.Mode&0o777 != 0o644 || get(t, path) != "4242\n" {
				t.Errorf("uid %d, mode %o, content %q", st.Uid, st.Mode, get(t, path))
			}
			must(t, m.Release())
		})
	}
}

func TestWithoutLocksALivingProcessInTheFileCounts(t *testing.T) {
	d := opened(t, Options{Sys: Sys{Flock: func(int, int) error { return unix.ENOLCK }}})
	other := sleeper(t, 0)
	put(t, d.Pattern().MasterPath(), other.Process.Pid)
	_, err := d.LockMaster(os.Getpid())
	var claim *ClaimError
	if !errors.Is(err, ErrMasterAlive) || !errors.As(err, &claim) || claim.PID != other.Process.Pid {
		t.Errorf("got %v", err)
	}
	backdate(t, d.Pattern().MasterPath(), time.Hour)
	m, err := d.LockMaster(os.Getpid())
	must(t, err)
	must(t, m.Release())
}

func TestALockWithoutAPIDIsStillALock(t *testing.T) {
	d := opened(t, Options{})
	put(t, d.Pattern().MasterPath(), "")
	f, err := os.Open(d.Pattern().MasterPath())
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = d.LockMaster(os.Getpid())
	var claim *ClaimError
	if !errors.As(err, &claim) || claim.PID != 0 || !strings.Contains(err.Error(), "PID unknown") {
		t.Errorf("got %v", err)
	}
}

func TestMasterOfManyWhoWantToBe(t *testing.T) {
	p := opened(t, Options{}).Pattern()
	type result struct {
		m   *Master
		err error
	}
	results := make(chan result)
	const candidates = 8
	for i := range candidates {
		d := openedAt(t, p.String(), Options{})
		go func() {
			m, err := d.LockMaster(1000 + i)
			results <- result{m, err}
		}()
	}
	var masters []*Master
	for range candidates {
		r := <-results
		if r.err == nil {
			masters = append(masters, r.m)
		} else if !errors.Is(r.err, ErrMasterAlive) {
			t.Error(r.err)
		}
	}
	if len(masters) != 1 {
		t.Fatalf("%d masters", len(masters))
	}
	if got := get(t, p.MasterPath()); got != fmt.Sprintln(masters[0].pid) {
		t.Errorf("content %q", got)
	}
	must(t, masters[0].Release())
}
