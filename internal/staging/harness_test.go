package staging_test

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/staging"
)

// As a helper the test binary is a brood that was started in an odd state.
func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		os.Exit(beHelper())
	}
	os.Exit(m.Run())
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

// process is started as reaper does it; that package is out of bounds here.
type process struct {
	pid int
	out *os.File
}

// start starts c through the stage, or directly if s is nil. Its stdout is a
// pipe.
func start(s *staging.Stage, c staging.Command) (p process, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return p, err
	}
	defer write.Close()
	path, args, env := c.Path, c.Args, c.Env
	var l *staging.Launch
	if s != nil {
		if l, err = s.Prepare(c); err != nil {
			return p, err
		}
		defer l.Close()
		path, args, env = l.Path, l.Args, l.Env
		for _, fd := range l.Inherit {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
			defer func() { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC) }()
		}
	}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{0, write.Fd(), 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return p, errors.Join(err, read.Close())
	}
	p = process{pid: pid, out: read}
	_ = write.Close() // the worker's is the last one
	if l != nil {
		if err := l.Confirm(); err != nil {
			_, _ = p.end()
			return process{}, err
		}
	}
	return p, nil
}

// end returns what the process has written, and how it ended.
func (p process) end() (string, syscall.WaitStatus) {
	out, _ := io.ReadAll(p.out)
	_ = p.out.Close()
	var ws syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(p.pid, &ws, 0, nil); err != syscall.EINTR {
			return string(out), ws
		}
	}
}

// run fails the test if the command does not end with 0.
func run(t *testing.T, s *staging.Stage, c staging.Command) string {
	t.Helper()
	// The parent-death signal is sent when the thread that forked ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := start(s, c)
	if err != nil {
		t.Fatal(err)
	}
	out, ws := p.end()
	if ws != 0 {
		t.Fatalf("%q ended with %#x: %s", c.Args, uint32(ws), out)
	}
	return out
}

// shell is a command with some attributes.
func shell(script string, a staging.Attributes) staging.Command {
	return staging.Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Attributes: a}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
}

// lines of text that begin with one of the keys, without the keys.
func field(text, key string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return ""
}
