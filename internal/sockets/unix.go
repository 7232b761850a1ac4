package sockets

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// file is a socket's file that we made, by its identity.
type file struct {
	path     string
	dev, ino uint64
}

// listenUnix binds a path. The file gets the mode that the umask leaves, as
// with most servers: who shall connect is the administrator's affair, who
// has a umask and the directory's permissions to say it. The kernel looks at
// the right to write only.
func (s Spec) listenUnix() (int, file, error) {
	if err := clearStale(s.Address); err != nil {
		return -1, file{}, err
	}
	fd, err := s.bind(unix.AF_UNIX, &unix.SockaddrUnix{Name: s.Address}, func(int) error { return nil })
	if err != nil {
		return -1, file{}, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(s.Address, &st); err != nil {
		_ = unix.Close(fd)
		return -1, file{}, err
	}
	return fd, file{s.Address, st.Dev, st.Ino}, nil
}

// remove removes the file if it still is the one that was made.
func (f file) remove() error {
	var st unix.Stat_t
	err := unix.Lstat(f.path, &st)
	if err == nil && st.Dev == f.dev && st.Ino == f.ino {
		err = unix.Unlink(f.path)
	}
	if err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "remove", Path: f.path, Err: err}
	}
	return nil
}

// clearStale removes a socket that a process of ours has left behind. Anything
// else at the path is an error.
func clearStale(path string) error {
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("something that is no socket is in its place: remove it or choose another path")
	case int(st.Uid) != unix.Geteuid():
		return fmt.Errorf("a socket of user %d is in its place: remove it or choose another path", st.Uid)
	}
	if err := answers(path); err != nil {
		return err
	}
	if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

// answers returns an error unless nobody listens at the socket.
func answers(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err {
	case unix.ECONNREFUSED, unix.ENOENT:
		return nil
	case nil, unix.EAGAIN, unix.EPROTOTYPE: // its queue is full; it is of another type
		return errors.New("another process listens there: stop it or choose another path")
	default:
		return fmt.Errorf("cannot tell whether another process listens there: %w", err)
	}
}
