package pidfiles

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
)

// hostile is a file that somebody may have left for us.
type hostile struct {
	name string
	kind Kind
	make func(t *testing.T, path string)

	cleaned  bool // by CleanStale
	replaced bool // by Write; otherwise Write reports an error
}

func hostiles(t *testing.T) []hostile {
	innocent := sleeper(t, 0)
	pid := innocent.Process.Pid
	text := func(content any) func(*testing.T, string) {
		return func(t *testing.T, path string) { t.Helper(); put(t, path, content) }
	}
	zombie := sleeper(t, 0)
	endUnreaped(t, zombie)
	dead := deadPID(t)
	return []hostile{
		{name: "symbolic link to a good file", kind: NotFile, replaced: true, make: func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "good")
			put(t, target, pid)
			must(t, os.Symlink(target, path))
		}},
		{name: "symbolic link to nothing", kind: NotFile, replaced: true, make: func(t *testing.T, path string) { must(t, os.Symlink("/nonexistent", path)) }},
		{name: "hard link", kind: NotFile, replaced: true, make: func(t *testing.T, path string) {
			other := filepath.Join(filepath.Dir(path), "other")
			put(t, other, pid)
			must(t, os.Link(other, path))
		}},
		{name: "named pipe", kind: NotFile, replaced: true, make: func(t *testing.T, path string) { must(t, unix.Mkfifo(path, 0o644)) }},
		{name: "socket", kind: NotFile, replaced: true, make: func(t *testing.T, path string) { must(t, unix.Mknod(path, unix.S_IFSOCK|0o644, 0)) }},
		{name: "directory", kind: NotFile, make: func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o755)) }},
		{name: "device", kind: NotFile, replaced: true, make: func(t *testing.T, path string) {
			if err := unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))); err != nil {
				t.Skip("cannot make a device:", err)
			}
		}},
		{name: "huge", kind: Malformed, replaced: true, make: func(t *testing.T, path string) {
			put(t, path, fmt.Sprintf("%d\n", pid))
			must(t, os.Truncate(path, 1<<40))
		}},
		{name: "long", kind: Malformed, replaced: true, make: text(fmt.Sprintf("%d%s", pid, strings.Repeat("\n", mostBytes)))},
		{name: "empty", kind: Malformed, replaced: true, make: text("")},
		{name: "blank", kind: Malformed, replaced: true, make: text("\n")},
		{name: "negative", kind: Malformed, replaced: true, make: text(-pid)},
		{name: "everything there is", kind: Malformed, replaced: true, make: text(-1)},
		{name: "zero", kind: Malformed, replaced: true, make: text(0)},
		{name: "init", kind: Malformed, replaced: true, make: text("1\n")},
		{name: "ourselves", kind: Self, replaced: true, make: text(os.Getpid())},
		{name: "ourselves, long before our time", kind: Recycled, cleaned: true, replaced: true, make: func(t *testing.T, path string) {
			put(t, path, os.Getpid())
			backdate(t, path, time.Hour)
		}},
		{name: "overflow", kind: Malformed, replaced: true, make: text(fmt.Sprintf("%d", uint64(1)<<32+uint64(pid)))},
		{name: "overflow of 64 bits", kind: Malformed, replaced: true, make: text("18446744073709551617")},
		{name: "text", kind: Malformed, replaced: true, make: text("all of them")},
		{name: "two numbers", kind: Malformed, replaced: true, make: text(fmt.Sprintf("%d %d", pid, pid))},
		{name: "NUL bytes", kind: Malformed, replaced: true, make: text(fmt.Sprintf("%d\x00\x00", pid))},
		{name: "only NUL bytes, as after a crash", kind: Malformed, replaced: true, make: text("\x00\x00\x00\x00\x00")},
		{name: "dead", kind: Stale, cleaned: true, replaced: true, make: text(dead)},
		{name: "zombie", kind: Stale, cleaned: true, replaced: true, make: text(zombie.Process.Pid)},
		{name: "recycled", kind: Recycled, cleaned: true, replaced: true, make: func(t *testing.T, path string) {
			put(t, path, pid)
			backdate(t, path, time.Hour)
		}},
		{name: "thread", kind: Thread, replaced: true, make: text(aThread(t))},
		{name: "foreign", kind: Foreign, replaced: true, make: func(t *testing.T, path string) {
			put(t, path, pid)
			chown(12345)(t, path)
		}},
		{name: "unreadable", kind: Unreadable, make: func(t *testing.T, path string) {
			if os.Geteuid() == 0 {
				t.Skip("root reads everything")
			}
			put(t, path, pid)
			must(t, os.Chmod(path, 0))
		}},
	}
}

func backdate(t *testing.T, path string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	must(t, os.Chtimes(path, then, then))
}

// aThread is the number of a thread of this process that is not its first.
func aThread(t *testing.T) int {
	t.Helper()
	numbers, stop := make(chan int), make(chan struct{})
	t.Cleanup(func() { close(stop) })
	for range 2 {
		go func() {
			runtime.LockOSThread()
			numbers <- unix.Gettid()
			<-stop
		}()
	}
	one, other := <-numbers, <-numbers
	if one == os.Getpid() {
		return other
	}
	return one
}

func TestABadFileIsReportedAndNeverStopsTheRest(t *testing.T) {
	for _, pidfds := range []bool{true, false} {
		o := Options{}
		if !pidfds {
			o.Sys.PidfdOpen = func(int) (int, error) { return -1, unix.ENOSYS }
		}
		for _, h := range hostiles(t) {
			t.Run(fmt.Sprintf("%s, pidfds %v", h.name, pidfds), func(t *testing.T) {
				d := opened(t, o)
				good := sleeper(t, 0)
				put(t, d.Pattern().Path(0), good.Process.Pid)
				put(t, d.Pattern().Path(9), good.Process.Pid)
				bad := d.Pattern().Path(5)
				h.make(t, bad)

				for range 2 {
					found, problems := d.List(nil)
					closeAll(t, found)
					if len(found) != 1 || found[0].PID != good.Process.Pid || !slices.Equal(found[0].Indices, []int{0, 9}) {
						t.Errorf("listed %+v", found)
					}
					if len(problems) != 1 || problems[0].Kind != h.kind || problems[0].Path != bad || problems[0].Err == nil {
						t.Fatalf("problems %v, want one of kind %s", problems, h.kind)
					}
					if want := string(h.kind) + " " + bad; problems[0].Key() != want {
						t.Errorf("key %q, want %q", problems[0].Key(), want)
					}
					if !strings.HasPrefix(problems[0].Error(), fmt.Sprintf("cannot use PID file %q: ", bad)) {
						t.Errorf("message %q", problems[0].Error())
					}
				}

				removed, problems := d.CleanStale()
				if cleaned := slices.Equal(removed, []string{bad}); cleaned != h.cleaned || cleaned == exists(bad) {
					t.Errorf("removed %v, want it removed: %v", removed, h.cleaned)
				}
				if len(problems) > 0 == h.cleaned {
					t.Errorf("problems of the cleaning: %v", problems)
				}
			})
			t.Run(fmt.Sprintf("writing over %s, pidfds %v", h.name, pidfds), func(t *testing.T) {
				d := opened(t, o)
				worker := sleeper(t, 0)
				h.make(t, d.Pattern().Path(5))
				err := d.Write(5, worker.Process.Pid)
				if (err == nil) != h.replaced {
					t.Fatalf("got %v, want it replaced: %v", err, h.replaced)
				}
				if found, _ := d.List(nil); h.replaced {
					closeAll(t, found)
					if len(found) != 1 || found[0].PID != worker.Process.Pid || found[0].Index != 5 {
						t.Errorf("listed %+v", found)
					}
				}
				if left, _ := filepath.Glob(d.Pattern().Dir() + "/.*.tmp"); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

func TestWhoMayAskForASignal(t *testing.T) {
	const us, pid = 1000, 4242
	for _, tt := range []struct {
		name                         string
		owner, real, effective, save uint32
		want                         bool
	}{
		{"root, about anybody", 0, 7, 7, 7, true},
		{"we, about anybody", us, 7, 7, 7, true},
		{"the process itself", 7, 7, 7, 7, true},
		{"who started a set-uid program", 7, 7, 0, 0, true},
		{"whom a process can become again", 7, 0, 0, 7, true},
		{"whom a process has become for now", 7, 0, 7, 0, false},
		{"a stranger", 8, 7, 7, 7, false},
		{"a stranger, about root's", 8, 0, 0, 0, false},
	} {
		fs := fakeProc(t, pid, 100, 'S')
		put(t, filepath.Join(string(fs), "4242", "status"), fmt.Sprintf("Tgid:\t%d\nUid:\t%d\t%d\t%d\t%d\n", pid, tt.real, tt.effective, tt.save, tt.effective))
		d := &Dir{sys: Sys{
			Proc: fs, EUID: func() int { return us }, BootOffset: func() time.Duration { return 0 },
			PidfdOpen: func(int) (int, error) { return -1, unix.ENOSYS },
		}.withDefaults()}
		_, problem := d.identify(claim{pid: pid, owner: tt.owner, wrote: time.Unix(1, 0)})
		if (problem == nil) != tt.want || problem != nil && problem.Kind != Foreign {
			t.Errorf("%s: %v, want it believed: %v", tt.name, problem, tt.want)
		}
	}
}

func TestAForeignFileIsBelievedAboutItsOwnersProcess(t *testing.T) {
	needRoot(t)
	d := opened(t, Options{})
	theirs := sleeper(t, 12345)
	put(t, d.Pattern().Path(3), theirs.Process.Pid)
	chown(12345)(t, d.Pattern().Path(3))
	if found := listed(t, d); len(found) != 1 || found[0].PID != theirs.Process.Pid {
		t.Errorf("listed %+v", found)
	}
}

// fakeProc is a /proc with one process, that of the user who asks.
func fakeProc(t *testing.T, pid int, startTicks uint64, state byte) proc.FS {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, fmt.Sprint(pid))
	must(t, os.Mkdir(dir, 0o755))
	setStat(t, proc.FS(root), pid, startTicks, state)
	put(t, filepath.Join(dir, "status"), fmt.Sprintf("Tgid:\t%d\nUid:\t1\t1\t1\t1\n", pid))
	return proc.FS(root)
}

func setStat(t *testing.T, fs proc.FS, pid int, startTicks uint64, state byte) {
	t.Helper()
	put(t, filepath.Join(string(fs), fmt.Sprint(pid), "stat"),
		fmt.Sprintf("%d (fake) %c 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, state, startTicks))
}
