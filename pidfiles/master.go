package pidfiles

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Master is the claim to be the one master of a Pattern: a lock on its file,
// which the kernel takes back whatever the process dies of. The lock is not
// inherited over an exec.
type Master struct {
	dir *Dir
	pid int

	mu sync.Mutex
	fd int
}

// LockMaster claims the Pattern for process pid, which is the caller or will
// become its successor without closing descriptors. It writes pid into the
// master's file; what a dead master has left there is no obstacle.
//
// If another one lives, the error is a *ClaimError of ErrMasterAlive. The lock
// is flock(2)'s, so whoever may read the file can hold it and pass for a
// master. On a file system without locks, a verified living process in the file
// counts as master.
func (d *Dir) LockMaster(pid int) (*Master, error) {
	const attempts = 100 // each lost to another process that has just replaced the file
	for range attempts {
		m, err := d.tryMaster(pid)
		if !errors.Is(err, errReplaced) {
			return m, err
		}
	}
	return nil, fmt.Errorf("cannot lock %q: %w", d.pattern.MasterPath(), errReplaced)
}

var errReplaced = errors.New("the file is replaced again and again")

// tryMaster locks the file under the name as it is now. The lock belongs to the
// file and not to its name, so a rename would lose it: the PID is written in
// place, and a lock on a file that has lost its name is worth nothing.
func (d *Dir) tryMaster(pid int) (*Master, error) {
	name, path := d.pattern.nameOf(master), d.pattern.MasterPath()
	fd, ours, err := d.openMaster(name)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", path, err)
	}
	m := &Master{dir: d, pid: pid, fd: fd}
	fail := func(err error) (*Master, error) {
		unix.Close(fd)
		return nil, err
	}

	switch err := d.sys.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
	case unix.EWOULDBLOCK:
		return fail(&ClaimError{Path: path, PID: pidOfHolder(fd), Err: ErrMasterAlive})
	case unix.ENOLCK, unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL:
		if other, _ := d.FindMaster(); other != nil {
			other.Close()
			return fail(&ClaimError{Path: path, PID: other.PID, Err: ErrMasterAlive})
		}
	default:
		return fail(fmt.Errorf("cannot lock %q: %w", path, err))
	}

	if !d.isNamed(name, fd) {
		return fail(errReplaced)
	}
	if !ours {
		// From a life as another user perhaps, and nobody holds it. To write into
		// it could be to write into any file that somebody has linked here.
		if err := d.unlink(name); err != nil {
			return fail(fmt.Errorf("cannot replace %q: %w", path, err))
		}
		return fail(errReplaced)
	}
	if pid == unnamed {
		return m, nil
	}
	if err := m.write(); err != nil {
		_ = d.unlink(name) // while it is locked: nobody else's
		return fail(fmt.Errorf("cannot write %q: %w", path, err))
	}
	return m, nil
}

// openMaster makes the file if there is none. One that is not ours to write can
// still be locked, to find out whether it is in use.
func (d *Dir) openMaster(name string) (fd int, ours bool, err error) {
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK
	var st unix.Stat_t
	switch err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == unix.ENOENT:
	case err != nil:
		return -1, false, err
	case st.Mode&unix.S_IFMT != unix.S_IFREG: // and not opened: see read
		return -1, false, checkFile(&st)
	}
	fd, err = openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|flags, 0o644)
	writable := err == nil
	if err == unix.EACCES {
		fd, err = openat(d.fd, name, unix.O_RDONLY|flags, 0)
		if err == unix.ENOENT {
			err = unix.EACCES // it was the directory that refused, or a file just gone
		}
	}
	if err != nil {
		return -1, false, err
	}
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = checkFile(&st)
	}
	if err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	return fd, writable && int(st.Uid) == d.sys.EUID() && st.Nlink <= 1, nil
}

// write replaces the content by one write(2) that covers the old one with blank
// lines, so that nobody ever reads a mixture of two PIDs, or nothing.
func (m *Master) write() error {
	var st unix.Stat_t
	if err := unix.Fstat(m.fd, &st); err != nil {
		return err
	}
	text := append(strconv.AppendInt(nil, int64(m.pid), 10), '\n')
	length := len(text)
	for int64(len(text)) < min(st.Size, mostBytes) {
		text = append(text, '\n')
	}
	if n, err := retry(func() (int, error) { return unix.Pwrite(m.fd, text, 0) }); err != nil {
		return err
	} else if n < len(text) {
		return unix.ENOSPC
	}
	if err := unix.Ftruncate(m.fd, int64(length)); err != nil {
		return err
	}
	return unix.Fchmod(m.fd, 0o644)
}

// pidOfHolder waits a moment for a master that has its lock and is about to
// write. 0 if it does not.
func pidOfHolder(fd int) int {
	const patience, step = 100 * time.Millisecond, 5 * time.Millisecond
	for range patience / step {
		if pid, err := readPID(fd); err == nil {
			return pid
		}
		time.Sleep(step)
	}
	return 0
}

// isNamed reports whether the name leads to the open file.
func (d *Dir) isNamed(name string, fd int) bool {
	var named, open unix.Stat_t
	return unix.Fstatat(d.fd, name, &named, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstat(fd, &open) == nil && idOf(&named) == idOf(&open)
}

// Release removes the file, if it still is the one that was locked and says
// what was written, and gives up the lock, in this order: whoever waits for the
// file to disappear finds the lock free right after. Further calls do nothing.
func (m *Master) Release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fd < 0 {
		return nil
	}
	defer func() { unix.Close(m.fd); m.fd = -1 }()
	name := m.dir.pattern.nameOf(master)
	if pid, err := readPID(m.fd); m.pid != unnamed && (err != nil || pid != m.pid) || !m.dir.isNamed(name, m.fd) {
		return nil
	}
	if err := m.dir.unlink(name); err != nil {
		return fmt.Errorf("cannot remove %q: %w", m.dir.pattern.MasterPath(), err)
	}
	return nil
}

// FindMaster returns the living master, verified like every registered process
// but for PID 1, which a container's master has. Both results are nil when
// there is no file; the Problem says what is wrong with the one there is. The
// caller closes the Registered.
//
// The lock is left alone: to try it could make a master that starts at this
// moment believe in another one.
func (d *Dir) FindMaster() (*Registered, *Problem) {
	c, problem := d.read(d.pattern.nameOf(master))
	if problem == nil {
		var r *Registered
		if r, problem = d.identify(c); problem == nil {
			r.Index = -1
			return r, nil
		}
	}
	if problem.Kind == vanished {
		return nil, nil
	}
	return nil, problem
}
