package harness

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Mode is where brood runs.
type Mode struct {
	PID1 bool
}

func (m Mode) String() string {
	if m.PID1 {
		return "as PID 1"
	}
	return "as a child"
}

// Modes are both.
var Modes = []Mode{{PID1: true}, {PID1: false}}

// Both runs a test in both modes, in parallel with others.
func Both(t *testing.T, test func(t *testing.T, m Mode)) {
	t.Helper()
	t.Parallel()
	for _, m := range Modes {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			m.Need(t)
			test(t, m)
		})
	}
}

// Need skips the test if the mode is not to be had here.
func (m Mode) Need(t testing.TB) {
	t.Helper()
	if !m.PID1 {
		return
	}
	if err := namespaces(); err != nil {
		Missing(t, "no PID namespace can be made here: %v", err)
	}
}

// namespaces tries once whether a process can be PID 1 here.
var namespaces = sync.OnceValue(func() error {
	cmd := exec.Command(paths.stage, stageArguments(Options{}, "true")...)
	cmd.Env = []string{"PATH=" + Path()}
	cmd.SysProcAttr = Mode{PID1: true}.attributes(Options{})
	if out, err := cmd.CombinedOutput(); err != nil {
		return &namespaceError{err, strings.TrimSpace(string(out))}
	}
	return nil
})

type namespaceError struct {
	err    error
	output string
}

func (e *namespaceError) Error() string { return strings.TrimSpace(e.err.Error() + " " + e.output) }

// attributes put a process into namespaces of its own. Root needs no user
// namespace, and so keeps the rights that root has in a container.
func (m Mode) attributes(o Options) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: o.Setsid, Setctty: o.Setsid && o.Terminal != nil, Pdeathsig: syscall.SIGKILL}
	if !m.PID1 && !o.OwnMounts {
		return attr
	}
	attr.Cloneflags = syscall.CLONE_NEWNS
	if m.PID1 {
		attr.Cloneflags |= syscall.CLONE_NEWPID
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	return attr
}
