package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// However few descriptors there are, brood says so and ends, or works: no
// dump of its goroutines, and no code of a command that cannot be executed.
func TestFewDescriptors(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for n := uint64(4); n <= 24; n++ {
			b := m.StartWith(t, harness.Options{
				Program: "sh", LeavesFiles: true,
				Args: []string{"-c", fmt.Sprintf("ulimit -n %d; exec brood -n1 --metrics-addr none --restart never --pidfile %s -- true", n, filepath.Join(t.TempDir(), "brood.pid"))},
			})
			code, said := b.Wait(), b.Stderr.String()
			switch {
			case strings.Contains(said, "goroutine"):
				t.Errorf("with %d descriptors brood panics:\n%s", n, said)
			case code == 0 && strings.Contains(said, "reason=completed"):
			case code == 125 && strings.Contains(said, "ulimit -n"):
			default:
				t.Errorf("with %d descriptors brood ends with %d and says:\n%s", n, code, said)
			}
			if n >= 16 && code != 0 {
				t.Errorf("%d descriptors are not enough:\n%s", n, said)
			}
		}
	})
}

// nobody is a user that no other process runs as: a limit on his processes
// counts brood and its workers alone.
func nobody(t *testing.T) int {
	t.Helper()
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can become somebody else")
	}
	return 42000 + os.Getpid()%1000 + int(time.Now().UnixNano()%1000)*1000
}

func dirOf(t *testing.T, user int) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the test's own, closed to others
		t.Fatal(err)
	}
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	return dir
}

// As many workers run as there may, the others are told why not, and all end.
func TestALimitOnTheUsersProcesses(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		user := nobody(t)
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n", "60", "--restart-backoff=50ms..100ms", "--stop-timeout=5s", "--max-restarts=1000/1s",
				"--pidfile", filepath.Join(dirOf(t, user), "brood.pid"), "--", "sleep", "300",
			},
			NoPIDFile: true,
			Stage:     harness.Stage{User: user, NoProc: 40},
		})
		b.WaitLog("worker not started", "RLIMIT_NPROC")
		b.WaitRunning(10)
		b.Stop(t, 0)
	})
}

// smallDisk is a file system of its own with room for so many files and hardly
// any bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "mode=0755,"+options); err != nil {
		harness.Missing(t, "nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func fill(t *testing.T, dir string) {
	t.Helper()
	err := os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 1<<20), 0o644)
	if err == nil {
		t.Fatal("the disk is not full")
	}
}

// Files are told about but never worth a worker. Where they were asked for and
// cannot be had from the start, brood says so before anything runs.
func TestADiskThatIsFull(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := smallDisk(t, "size=16k,nr_inodes=20")
		fill(t, dir)
		finished := filepath.Join(t.TempDir(), "finished")
		b := m.Start(t, "-n2", "--restart=never", "--termination-log", filepath.Join(dir, "termination"), "--final-metrics", filepath.Join(dir, "metrics"),
			"--finish", "sh -c 'echo x >>"+finished+"'", "--", "worker", "exit", "3")
		b.WantCode(t, 3)
		b.WaitLog("cannot write --termination-log", "no space left")
		b.WaitLog("cannot write --final-metrics", "no space left")
		if harness.Content(finished) != "x\n" {
			t.Error("the finish hook has not run once")
		}
		b = m.StartWith(t, harness.Options{PIDFile: filepath.Join(dir, "brood.pid"), Args: []string{"-n1", "--", "sleep", "300"}, LeavesFiles: true})
		b.WantCode(t, 2)
		b.WaitLog("cannot use --pidfile", "no space left")
		if master := filepath.Join(dir, "brood.master.pid"); exists(master) {
			t.Errorf("a brood that never was has left %q", master)
		}
	})
}

// What was asked for and cannot be had is told before anything runs, by the name
// of the setting.
func TestWhatCannotBeWrittenIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	user := nobody(t)
	for _, setting := range []string{"--pidfile", "--control", "--termination-log", "--final-metrics"} {
		for reason, o := range map[string]harness.Options{
			"read-only file system": {Args: []string{setting, filepath.Join(smallDisk(t, "ro"), "file.x")}},
			"permission denied":     {Args: []string{setting, filepath.Join("/", "file.x")}, Stage: harness.Stage{User: user}},
		} {
			o.NoPIDFile = true
			if setting != "--pidfile" {
				o.Args = append(o.Args, "--pidfile", filepath.Join(dirOf(t, user), "run", "brood.pid"))
			}
			o.Args = append(o.Args, "--", "sh", "-c", "echo started")
			b := harness.Mode{}.StartWith(t, o)
			b.WantCode(t, 2)
			b.WaitLog("cannot use "+setting, "file", reason)
			if b.Stdout.Find("started") != "" {
				t.Errorf("%s, %s: a worker was started", setting, reason)
			}
		}
	}
}

// It fills up while brood runs. (Read-only the kernel makes no disk on which a
// file is open for writing, as that of the master is.)
func TestADiskThatFillsUpWhileBroodRuns(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(t *testing.T, dir string){
		"no more bytes": fill,
		"no more files": func(t *testing.T, dir string) {
			for i := range 100 {
				if os.Mkdir(filepath.Join(dir, strconv.Itoa(i)), 0o755) != nil {
					return
				}
			}
			t.Fatal("there is still room")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t, "size=32k,nr_inodes=20")
			b := harness.Mode{}.StartWith(t, harness.Options{
				PIDFile: filepath.Join(dir, "brood.pid"), LeavesFiles: true,
				Args: []string{
					"-n2", "--restart-backoff=1ms..2ms", "--stop-timeout=3s", "--termination-log", filepath.Join(dir, "termination"),
					"--final-metrics", filepath.Join(dir, "metrics"), "--", "sleep", "300",
				},
			})
			b.WaitRunning(2)
			first := b.Slot(1)
			fail(t, dir)
			if err := harness.Kill(first, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			b.WaitRunning(3)
			for n := 4; n <= 5; n++ { // the killed one has left room for one file
				b.Signal(unix.SIGTTIN)
				b.WaitRunning(n)
			}
			b.WaitLog("PID file refused", "no space left")
			wantWithin(t, b, 3*time.Second, 0)
		})
	}
}

func TestAProcThatHidesTheProcessesOfOthers(t *testing.T) {
	m := harness.Mode{PID1: true}
	t.Parallel()
	m.Need(t)
	user := nobody(t)
	dir := dirOf(t, user)
	file := filepath.Join(dir, "file")
	registrant := `trap "echo term >>$F; echo cleaned >>$F; exit 0" TERM; echo $$ >${BROOD_PIDFILE%.pid}.77.pid; echo ready >>$F; while :; do sleep 0.1; done`
	b := m.StartWith(t, harness.Options{
		PIDFile: filepath.Join(dir, "run", "brood.pid"), LeavesFiles: true,
		Args:  []string{"-n2", "--stop-timeout=5s", "--", "sh", "-c", "test $BROOD_SLOT = 1 && setsid -f sh -c '" + registrant + "'; exec sleep 300"},
		Env:   []string{"F=" + file},
		Stage: harness.Stage{User: user, HidePID: true},
	})
	if !harness.Within(harness.Fatal, func() bool { return harness.Content(file) != "" }) {
		t.Errorf("nobody has registered; brood said:\n%s\n%s", b.Stderr, b.Stdout)
	}
	b.Stop(t, 0)
	if text := harness.Content(file); strings.Count(text, "term") != 1 || strings.Count(text, "cleaned") != 1 {
		t.Errorf("the registered process says:\n%s", text)
	}
}

// What an old kernel or a careful sandbox does not have.
func TestWithoutPidfds(t *testing.T) {
	for name, denied := range map[string][]int{
		"no pidfd_open":        {unix.SYS_PIDFD_OPEN},
		"no pidfd_send_signal": {unix.SYS_PIDFD_SEND_SIGNAL},
		"none of the new":      {unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_CLONE3, unix.SYS_CLOSE_RANGE, unix.SYS_OPENAT2, unix.SYS_FACCESSAT2},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				file := filepath.Join(t.TempDir(), "file")
				b := m.StartWith(t, harness.Options{
					Args:  []string{"-n2", "--", "sh", "-c", "test $BROOD_SLOT = 1 && setsid -f worker register 77 $F 100ms; exec sleep 300"},
					Env:   []string{"F=" + file},
					Stage: harness.Stage{Deny: denied}, LeavesFiles: true,
				})
				if !harness.Within(harness.Fatal, func() bool { return harness.Content(file) != "" }) {
					t.Errorf("nobody has registered; brood said:\n%s\n%s", b.Stderr, b.Stdout)
				}
				b.Stop(t, 0)
				if text := harness.Content(file); strings.Count(text, "term") != 1 || strings.Count(text, "cleaned") != 1 {
					t.Errorf("the registered process says:\n%s", text)
				}
			})
		})
	}
}

// In a time namespace the kernel's clocks are not those of the files' times, as
// in a container that was checkpointed and restored elsewhere.
func TestClocksThatWereMoved(t *testing.T) {
	t.Parallel()
	harness.Mode{PID1: true}.Need(t)
	unshare := harness.Need(t, "unshare")
	for _, offset := range []string{"1000000", "-20"} {
		file := filepath.Join(t.TempDir(), "file")
		pidfile := filepath.Join(t.TempDir(), "run", "brood.pid")
		b := harness.Mode{}.StartWith(t, harness.Options{
			Program: unshare, PIDFile: pidfile, LeavesFiles: true,
			Args: []string{
				"-T", "--boottime", offset, "--monotonic", offset, "brood", "--pidfile", pidfile, "--metrics-addr", "none", "-n2", "--restart-backoff=1ms..2ms",
				"--", "sh", "-c", "test $BROOD_SLOT = 1 && setsid -f worker register 77 $F 100ms; exec sleep 300",
			},
			Env: []string{"F=" + file},
		})
		harness.File(t, file)
		second := b.Slot(2)
		if err := harness.Kill(second, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.SlotAfter(2, second)
		wantWithin(t, b, 9*time.Second, 0)
		if text := harness.Content(file); strings.Count(text, "term") != 1 || strings.Count(text, "cleaned") != 1 {
			t.Errorf("clocks moved by %s s: the registered process says:\n%s\nand brood:\n%s", offset, text, b.Stderr)
		}
	}
}
