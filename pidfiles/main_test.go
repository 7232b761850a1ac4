package pidfiles

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is what a step may take that takes milliseconds, on a machine that
// has better things to do.
const patience = 20 * time.Second

const (
	helperVariable = "BROOD_PIDFILES_TEST_HELPER"
	asNobody       = "BROOD_PIDFILES_TEST_AS_NOBODY"
	nobody         = 65534
)

func TestMain(m *testing.M) {
	switch setting := os.Getenv(helperVariable); setting {
	case "":
		os.Exit(m.Run())
	default:
		os.Exit(helpMaster(setting))
	}
}

// helpMaster is a master in a process of its own: it locks the pattern, starts
// a worker, tells the worker's PID and lives until its stdin ends.
func helpMaster(setting string) int {
	p, err := Parse(setting)
	if err != nil {
		return 3
	}
	d, err := Open(p, Options{})
	if err != nil {
		return 4
	}
	m, err := d.LockMaster(os.Getpid())
	if err != nil {
		return 5
	}
	worker := exec.Command("sleep", "60")
	if err := worker.Start(); err != nil {
		return 6
	}
	defer func() { _ = worker.Process.Kill() }()
	fmt.Println(worker.Process.Pid)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := m.Release(); err != nil {
		return 7
	}
	return 0
}

// TestAllOfItAsAnUnprivilegedUser runs every other test once more without any
// rights, when they have been run as root.
func TestAllOfItAsAnUnprivilegedUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("runs without privileges already")
	}
	cmd := reexec("-test.timeout=120s", "-test.v="+strconv.FormatBool(testing.Verbose()), "-test.short="+strconv.FormatBool(testing.Short()))
	cmd.Env = append(os.Environ(), asNobody+"=1", "TMPDIR=/tmp", "HOME=/")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("as uid %d: %v", nobody, err)
	}
}

// reexec runs this program by the kernel's link to it, which leads through
// directories that others may not enter.
func reexec(args ...string) *exec.Cmd { return exec.Command("/proc/self/exe", args...) }

type helper struct {
	*exec.Cmd
	stdin  io.WriteCloser
	worker int
}

func startMaster(t *testing.T, p Pattern) *helper {
	t.Helper()
	cmd := reexec()
	cmd.Env = append(os.Environ(), helperVariable+"="+p.String())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("helper: %v, %v", err, cmd.Wait())
	}
	worker, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the worker is nobody's child when its master was killed
		if pidfd, err := unix.PidfdOpen(worker, 0); err == nil {
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
			unix.Close(pidfd)
		}
	})
	return &helper{cmd, stdin, worker}
}

// sleeper starts a process that does nothing, and ends it with the test.
func sleeper(t *testing.T, uid uint32) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	return cmd
}

// end kills and reaps, once.
func end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// endUnreaped leaves a zombie behind.
func endUnreaped(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	_ = cmd.Process.Kill()
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

// deadPID is the number of a process that has been reaped.
func deadPID(t *testing.T) int {
	t.Helper()
	cmd := sleeper(t, 0)
	end(t, cmd)
	return cmd.Process.Pid
}

func parsed(t *testing.T, setting string) Pattern {
	t.Helper()
	p, err := Parse(setting)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// opened is a directory of its own for each test.
func opened(t *testing.T, o Options) *Dir {
	t.Helper()
	return openedAt(t, filepath.Join(t.TempDir(), "run", "web.pid"), o)
}

func openedAt(t *testing.T, setting string, o Options) *Dir {
	t.Helper()
	d, err := Open(parsed(t, setting), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func put(t *testing.T, path string, content any) {
	t.Helper()
	if err := os.WriteFile(path, []byte(fmt.Sprint(content)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// listed is List for a test that wants no problems.
func listed(t *testing.T, d *Dir) []*Registered {
	t.Helper()
	found, problems := d.List(nil)
	closeAll(t, found)
	for _, p := range problems {
		t.Errorf("unexpected problem: %v", p)
	}
	return found
}

func closeAll(t *testing.T, found []*Registered) {
	t.Helper()
	t.Cleanup(func() {
		for _, r := range found {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// eventually polls without a sleep of its own making.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}
