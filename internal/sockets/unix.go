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
func (s Spec) listenUnix(owner *Owner) (int, file, error) {
	if err := clearStale(s.Address, owner); err != nil {
		return -1, file{}, err
	}
	fd, err := s.bind(unix.AF_UNIX, &unix.SockaddrUnix{Name: s.Address}, func(int) error { return nil })
	if err != nil {
		return -1, file{}, err
	}
	made, err := owner.take(s.Address)
	if err != nil {
		_ = unix.Close(fd)
		return -1, file{}, err
	}
	return fd, made, nil
}

// Owner is whom sockets are made for.
type Owner struct{ UID, GID int }

// take gives a socket that we have just made to its owner, whose directory it may
// be in: then its name may lead elsewhere by now. What is given away is a socket
// of ours with one name, or nothing.
func (o *Owner) take(path string) (file, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return file{}, err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return file{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != unix.Geteuid() || st.Nlink != 1 {
		return file{}, errors.New("somebody has replaced the socket: choose a directory that is brood's own")
	}
	if o != nil {
		if err := unix.Fchownat(fd, "", o.UID, o.GID, unix.AT_EMPTY_PATH); err != nil {
			return file{}, fmt.Errorf("cannot give the socket to user %d: %w", o.UID, err)
		}
	}
	return file{path, st.Dev, st.Ino}, nil
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

// clearStale removes a socket that a process of ours has left behind, or of the
// owner's. Anything else at the path is an error.
func clearStale(path string, owner *Owner) error {
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("something that is no socket is in its place: remove it or choose another path")
	case int(st.Uid) != unix.Geteuid() && (owner == nil || int(st.Uid) != owner.UID):
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
