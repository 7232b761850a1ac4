package sockets_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/sockets"
)

// leaveBehind makes the file of a socket on which nobody listens any more.
func leaveBehind(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAStaleUnixSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	leaveBehind(t, path)
	set := open(t, "unix://"+path)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := set.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
}

func TestWhatIsInTheWayOfAUnixSocketStays(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"a file": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
		"a directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
		"a link to a socket": {func(t *testing.T, path string) {
			leaveBehind(t, path+".real")
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
		"a socket that answers": {func(t *testing.T, path string) { open(t, "unix://"+path) }, "another process listens"},
		"a socket whose queue is full": {func(t *testing.T, path string) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Close(fd) })
			if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
		}, "another process listens"},
		"a datagram socket": {func(t *testing.T, path string) {
			c, err := net.ListenPacket("unixgram", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
		}, "another process listens"},
		"a stranger's socket": {func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			leaveBehind(t, path)
			if err := os.Lchown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}, "user 65534"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			test.make(t, path)
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tryOpen(t, nil, "tcp4://127.0.0.1:0", "unix://"+path); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
}

func TestASocketFileOfAnotherIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	set := open(t, "unix://"+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := set.Remove(); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
	set = open(t, "unix://"+path)
	// Moved away and not removed: the number of a removed file is given out again.
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	leaveBehind(t, path)
	if err := set.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another's socket was removed: %v", err)
	}
}

func TestTheUmaskIsTheModeOfAUnixSocket(t *testing.T) {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "s")
	open(t, "unix://"+path)
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm()&0o666 != 0o640 {
		t.Errorf("mode %v, %v; want rw-r----- to begin with", info.Mode(), err)
	}
}

func TestAFailedOpenLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := tryOpen(t, nil, "unix://"+path, "unix:///nowhere/at/all"); err == nil {
		t.Fatal("a socket was made nowhere")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the first socket is still there: %v", err)
	}
}

func TestAUnixSocketIsItsUsersAndReplacedWhenHeHasLeftIt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give it away")
	}
	path := filepath.Join(t.TempDir(), "s")
	owner := &sockets.Owner{UID: 65534, GID: 65533}
	for range 2 {
		set, err := sockets.Open([]sockets.Spec{parse(t, "unix://"+path)}, nil, owner)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Uid != 65534 || st.Gid != 65533 {
			t.Errorf("it belongs to %d:%d, %v", st.Uid, st.Gid, err)
		}
		set.Close() // and stays, as when brood is killed
	}
	if _, err := sockets.Open([]sockets.Spec{parse(t, "unix://"+path)}, nil, nil); err == nil || !strings.Contains(err.Error(), "user 65534") {
		t.Errorf("for another user: %v", err)
	}
}
