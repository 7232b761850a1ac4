package pidfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWriteIsSeenByAllWhateverTheUmask(t *testing.T) {
	d := opened(t, Options{})
	worker := sleeper(t, 0).Process.Pid
	old := unix.Umask(0o777)
	err := d.Write(3, worker)
	unix.Umask(old)
	must(t, err)
	path := d.Pattern().Path(3)
	if st, err := os.Lstat(path); err != nil || st.Mode() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if got := get(t, path); got != fmt.Sprintf("%d\n", worker) {
		t.Errorf("content %q", got)
	}
	if left, _ := os.ReadDir(d.Pattern().Dir()); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// A worker's file is removed at its end, and its successor may be there by then.
func TestRemoveLeavesTheFileOfASuccessorHoweverSoonItComes(t *testing.T) {
	d := opened(t, Options{})
	const ended, successor = highestPID - 1, highestPID - 2
	for range 3_000 {
		must(t, d.Write(1, ended))
		begin, removed := make(chan struct{}), make(chan error, 1)
		go func() {
			<-begin
			removed <- d.Remove(1, ended)
		}()
		close(begin)
		must(t, d.Write(1, successor))
		must(t, <-removed)
		if text, err := os.ReadFile(d.Pattern().Path(1)); err != nil || string(text) != fmt.Sprintf("%d\n", successor) {
			t.Fatalf("the successor's file says %q, %v", text, err)
		}
		must(t, d.Remove(1, successor))
	}
}

func TestWriteNeverTakesTheNumberOfALivingProcess(t *testing.T) {
	for name, rename := range map[string]func(int, string, string) error{
		"renameat2":                             nil,
		"a file system without a safe renaming": func(int, string, string) error { return unix.EINVAL },
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Sys: Sys{RenameNew: rename}}
			d := opened(t, o)
			registered, worker := sleeper(t, 0), sleeper(t, 0).Process.Pid
			path := d.Pattern().Path(3)
			put(t, path, registered.Process.Pid)

			err := d.Write(3, worker)
			var claim *ClaimError
			if !errors.Is(err, ErrTaken) || !errors.As(err, &claim) || claim.PID != registered.Process.Pid || claim.Path != path {
				t.Fatalf("got %v", err)
			}
			if get(t, path) != fmt.Sprint(registered.Process.Pid) {
				t.Error("overwritten")
			}
			must(t, d.Write(4, worker))

			// An end that nobody has seen yet is an end.
			endUnreaped(t, registered)
			must(t, d.Write(3, worker))
			if get(t, path) != fmt.Sprintf("%d\n", worker) {
				t.Error("not written")
			}
		})
	}
}

func TestWriteReplacesWhatItHasWrittenWhileTheOldProcessStillLives(t *testing.T) {
	d := opened(t, Options{})
	before, after := sleeper(t, 0).Process.Pid, sleeper(t, 0).Process.Pid
	must(t, d.Write(1, before))
	must(t, d.Write(1, before))
	must(t, d.Write(1, after)) // a surge: the successor starts first
	must(t, d.Remove(1, before))
	if got := get(t, d.Pattern().Path(1)); got != fmt.Sprintf("%d\n", after) {
		t.Errorf("content %q", got)
	}

	// Another master of the same Pattern, or a forgetful one, has no such right.
	other := openedAt(t, d.Pattern().String(), Options{})
	if err := other.Write(1, before); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v", err)
	}
	must(t, other.Write(1, after))
	// What the worker registers in its place is not ours any more.
	put(t, d.Pattern().Path(1), before)
	if err := d.Write(1, after); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v", err)
	}
}

func TestWriteDoesNotTakeWhatItCannotVerify(t *testing.T) {
	d := opened(t, Options{Sys: Sys{Proc: "/nonexistent"}}) // as with hidepid=
	living := sleeper(t, 0)
	put(t, d.Pattern().Path(1), living.Process.Pid)
	if err := d.Write(1, os.Getpid()); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v", err)
	}
	if _, problems := d.List(nil); len(problems) != 1 || problems[0].Kind != Unreadable {
		t.Errorf("problems %v", problems)
	}
	if removed, _ := d.CleanStale(); len(removed) > 0 {
		t.Errorf("removed %v", removed)
	}
	// A pidfd knows about ends without /proc.
	end(t, living)
	must(t, d.Write(1, os.Getpid()))
}

func TestWriteRefusesNumbersThatCannotBeListed(t *testing.T) {
	d := opened(t, Options{})
	for _, tt := range []struct{ i, pid int }{{-1, 100}, {1, 1}, {1, 0}, {1, -7}, {1, highestPID + 1}} {
		if err := d.Write(tt.i, tt.pid); err == nil {
			t.Errorf("registered %+v", tt)
		}
	}
	if left, _ := os.ReadDir(d.Pattern().Dir()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRemoveTakesOnlyWhatIsStillOurs(t *testing.T) {
	d := opened(t, Options{})
	path := d.Pattern().Path(2)
	must(t, d.Remove(2, 4242))
	for _, content := range []string{"4243\n", "", "text", "1"} {
		put(t, path, content)
		must(t, d.Remove(2, 4242))
		if get(t, path) != content {
			t.Errorf("%q is gone", content)
		}
	}
	put(t, path, "4242")
	must(t, d.Remove(2, 4242))
	if exists(path) {
		t.Error("still there")
	}
	must(t, unix.Mkfifo(path, 0o644))
	must(t, d.Remove(2, 4242))
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o755))
	must(t, d.Remove(2, 4242))
	must(t, os.Remove(path))
	must(t, os.Symlink("/etc/passwd", path))
	must(t, d.Remove(2, 4242))
}

func TestRemoveSaysWhenItCannot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can")
	}
	d := opened(t, Options{})
	put(t, d.Pattern().Path(1), deadPID(t))
	chmod(0o555)(t, d.Pattern().Dir())
	defer chmod(0o755)(t, d.Pattern().Dir())
	pid, _ := parsePID([]byte(get(t, d.Pattern().Path(1))))
	if err := d.Remove(1, pid); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	if removed, problems := d.CleanStale(); len(removed) != 0 || len(problems) != 1 || problems[0].Kind != Unremoved {
		t.Errorf("removed %v, problems %v", removed, problems)
	}
	if err := d.Write(2, os.Getpid()); !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "cannot make ") {
		t.Errorf("got %v", err)
	}
}

func TestCleanStaleRemovesAnEarlierLifeAndNothingElse(t *testing.T) {
	d := opened(t, Options{})
	p := d.Pattern()
	living, dead := sleeper(t, 0).Process.Pid, deadPID(t)
	put(t, p.Path(1), dead)
	put(t, p.Path(2), living)
	put(t, p.Path(3), living)
	backdate(t, p.Path(3), time.Hour)
	put(t, p.MasterPath(), dead)
	for _, name := range []string{"web2.1.pid", "web.1.pid.bak", "web.1.log", "web.01.pid", "notes"} {
		put(t, d.path(name), dead)
	}
	stale := d.path(p.tempName(dead, 1))
	recycled := d.path(p.tempName(os.Getpid(), 1000)) // a container's PIDs come again
	put(t, stale, "")
	put(t, recycled, "1")
	backdate(t, recycled, time.Hour)
	put(t, d.path(p.tempName(os.Getpid(), 1001)), "") // of another goroutine, at work
	put(t, d.path(p.tempName(living, 1)), "")

	removed, problems := d.CleanStale()
	slices.Sort(removed)
	want := []string{p.Path(1), p.Path(3), stale, recycled}
	slices.Sort(want)
	if !slices.Equal(removed, want) || len(problems) != 0 {
		t.Errorf("removed %v, problems %v, want %v", removed, problems, want)
	}
	for _, path := range want {
		if exists(path) {
			t.Errorf("still there: %s", path)
		}
	}
	if left, _ := os.ReadDir(p.Dir()); len(left) != 9 {
		t.Errorf("left: %v", left)
	}
	if removed, problems := d.CleanStale(); len(removed)+len(problems) > 0 {
		t.Errorf("a second time: %v, %v", removed, problems)
	}
}

func TestALeftoverTemporaryFileIsNoObstacle(t *testing.T) {
	d := opened(t, Options{})
	for n := range 5 {
		put(t, d.path(d.Pattern().tempName(os.Getpid(), uint64(n+1))), "x")
	}
	must(t, d.Write(1, sleeper(t, 0).Process.Pid))
	if len(listed(t, d)) != 1 {
		t.Error("not listed")
	}
}

func TestReadersNeverSeeHalfAFile(t *testing.T) {
	d := opened(t, Options{})
	other := openedAt(t, d.Pattern().String(), Options{})
	var pids []int
	for range 3 {
		pids = append(pids, sleeper(t, 0).Process.Pid)
	}
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for g := range 3 {
		writers.Go(func() {
			for n := range 300 {
				i := (g + n) % 4
				if err := d.Write(i, pids[n%len(pids)]); err != nil && !errors.Is(err, ErrTaken) {
					t.Error(err)
				}
				if n%3 == 0 {
					if err := d.Remove(i, pids[n%len(pids)]); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for _, dir := range []*Dir{d, other} {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				found, problems := dir.List(nil)
				for _, r := range found {
					if !slices.Contains(pids, r.PID) || r.Signal(0) != nil || r.Ended() {
						t.Errorf("listed %+v", r)
					}
					r.Close()
				}
				for _, p := range problems {
					t.Error(p)
				}
				if removed, problems := dir.CleanStale(); len(removed)+len(problems) > 0 {
					t.Errorf("cleaned %v, %v", removed, problems)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if left, _ := os.ReadDir(d.Pattern().Dir()); len(left) > 4 {
		t.Errorf("left behind: %v", left)
	}
}

func BenchmarkWrite(b *testing.B) {
	p, err := Parse(b.TempDir() + "/run/web.pid")
	if err != nil {
		b.Fatal(err)
	}
	d, err := Open(p, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.Write(i, os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}
