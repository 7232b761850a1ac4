// Package terminal_test tests brood on a terminal: Ctrl-C, Ctrl-Z and job
// control, typed into a pseudo-terminal.
package terminal_test

import (
	"os"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// What a terminal makes of keys.
const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
	ctrlD = "\x04"
)

// terminal is the side of a pseudo-terminal where the user sits.
type terminal struct {
	t      *testing.T
	keys   *os.File
	Screen *harness.Lines
}

// onTerminal runs something as the leader of a session with a terminal.
func onTerminal(t *testing.T, m harness.Mode, o harness.Options) (*harness.Brood, terminal) {
	t.Helper()
	keys, tty := open(t)
	screen := harness.Collect(t, keys)
	o.Terminal, o.Setsid = tty, true
	b := m.StartWith(t, o)
	_ = tty.Close()
	return b, terminal{t, keys, screen}
}

// open makes a pseudo-terminal. The user's side is non-blocking, so that
// closing it hangs up although somebody reads.
func open(t *testing.T) (keys, tty *os.File) {
	t.Helper()
	opened, tty, err := pty.Open()
	if err != nil {
		harness.Missing(t, "no pseudo-terminal can be had: %v", err)
	}
	defer opened.Close()
	fd, err := unix.FcntlInt(opened.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), opened.Name()), tty
}

// foreground is the process group that Ctrl-C reaches.
func (term terminal) foreground() (group int) {
	conn, err := term.keys.SyscallConn()
	if err != nil {
		term.t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	if err != nil {
		term.t.Error(err)
	}
	return group
}

func (term terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.keys.WriteString(keys); err != nil {
		term.t.Error(err)
	}
}

func (term terminal) enter(line string) {
	term.t.Helper()
	term.press(line + "\n")
}
