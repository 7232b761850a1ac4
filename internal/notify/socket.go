package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// closeWithin bounds the wait for a goroutine that is busy with a message.
	closeWithin = time.Second
	longestPath = 107 // of sun_path in unix(7), without the final zero byte
)

// socket is one slot's.
type socket struct {
	slot    int
	address string
	path    string      // "" when abstract
	file    os.FileInfo // of path, as it was made
	conn    *net.UnixConn
	raw     syscall.RawConn
	stop    chan struct{}
	ended   chan struct{} // its goroutine has ended
}

// listen makes a slot's socket in dir, or an abstract one.
func listen(dir, name string, slot, uid int) (*socket, error) {
	s := &socket{slot: slot, stop: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if dir != "" {
		s.path = filepath.Join(dir, fmt.Sprintf("%s.%d.sock", name, slot))
		s.address = s.path
		err = s.bindPath(uid)
		if err != nil && !noPlace(err) {
			return nil, err
		}
	}
	if dir == "" || err != nil {
		s.path = ""
		// Random, because with the host's network the name space is everybody's.
		s.address = fmt.Sprintf("@brood-%s/notify.%d", rand.Text(), slot)
		if err := s.bind(); err != nil {
			return nil, err
		}
	}
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		return nil, errors.Join(err, s.unbind())
	}
	return s, nil
}

// errLong says that a path does not fit into an address.
var errLong = fmt.Errorf("a socket's path has at most %d bytes", longestPath)

// noPlace reports whether err says that a directory cannot hold sockets.
func noPlace(err error) bool {
	for _, no := range []error{
		unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.EOPNOTSUPP, errLong,
	} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// bindPath binds to s.path, in the place of a stale socket. One that somebody
// listens on is an error.
func (s *socket) bindPath(uid int) error {
	if len(s.path) > longestPath {
		return errLong
	}
	err := s.bind()
	if errors.Is(err, unix.EADDRINUSE) {
		if err := removeStale(s.path); err != nil {
			return err
		}
		err = s.bind()
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(s.path, 0o600); err != nil { // where umask took too much
		return errors.Join(err, s.unbind())
	}
	if uid >= 0 && uid != os.Geteuid() {
		if err := os.Lchown(s.path, uid, -1); err != nil {
			return errors.Join(fmt.Errorf("cannot give %q to its worker: %w", s.path, err), s.unbind())
		}
	}
	if s.file, err = os.Lstat(s.path); err != nil {
		return errors.Join(err, s.unbind())
	}
	return nil
}

// lost reports whether the path leads here no more.
func (s *socket) lost() bool {
	if s.path == "" {
		return false
	}
	now, err := os.Lstat(s.path)
	return errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(now, s.file)
}

func (s *socket) bind() error {
	config := net.ListenConfig{Control: prepare}
	conn, err := config.ListenPacket(context.Background(), "unixgram", s.address)
	if err != nil {
		return err
	}
	s.conn = conn.(*net.UnixConn)
	return nil
}

// prepare runs before bind: there must be no message without credentials, and
// no moment in which others may send. Linux takes the mode of the file from
// the socket's.
func prepare(_, _ string, raw syscall.RawConn) error {
	var err error
	failed := raw.Control(func(fd uintptr) {
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err == nil {
			err = unix.Fchmod(int(fd), 0o600)
		}
	})
	return errors.Join(failed, err)
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%q is no socket", path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%q: %w", path, ErrInUse)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// ErrInUse says that somebody else listens on the socket.
var ErrInUse = errors.New("somebody else listens there")

// close returns when the socket's goroutine has ended, or at the end of the time.
func (s *socket) close(end time.Time) error {
	close(s.stop)
	err := s.unbind()
	timeout := time.NewTimer(time.Until(end))
	defer timeout.Stop()
	select {
	case <-s.ended:
	case <-timeout.C:
	}
	return err
}

func (s *socket) unbind() error {
	err := s.conn.Close()
	if s.path == "" || s.file != nil && s.lost() {
		return err
	}
	if gone := os.Remove(s.path); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// pause waits and reports whether to go on.
func (s *socket) pause(d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}
