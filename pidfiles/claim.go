package pidfiles

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// highestPID is PID_MAX_LIMIT of include/linux/threads.h on 64 bits.
const highestPID = 1 << 22

// mostBytes is more than any PID and its line end; what is longer was not
// written as a PID file.
const mostBytes = 32

// claim is what a file says, and the circumstances that it was said in.
type claim struct {
	path  string
	pid   int
	owner uint32
	wrote time.Time
	inode fileID
}

// fileID tells a file from another one that has taken its name.
type fileID struct{ dev, ino uint64 }

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino} }

func (c claim) problem(kind Kind, err error) *Problem {
	return &Problem{Path: c.path, Kind: kind, PID: c.pid, Err: err}
}

// read takes a file at its word, with nothing checked but the file itself. PID
// 1 passes: a container's master has it.
func (d *Dir) read(name string) (claim, *Problem) {
	c := claim{path: d.path(name)}
	// A look before the open: opening a device can set it off (a watchdog, a tape).
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return c, c.problem(unreadableOr(err), err)
	}
	if err := checkFile(&st); err != nil {
		return c, c.problem(NotFile, err)
	}
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return c, c.problem(unreadableOr(err), err)
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return c, c.problem(Unreadable, err)
	}
	if err := checkFile(&st); err != nil {
		return c, c.problem(NotFile, err)
	}
	c.owner, c.wrote, c.inode = st.Uid, time.Unix(st.Mtim.Unix()), idOf(&st)
	if c.pid, err = readPID(fd); err != nil {
		kind := Malformed
		if errno := unix.Errno(0); errors.As(err, &errno) {
			kind = Unreadable
		}
		return c, c.problem(kind, err)
	}
	return c, nil
}

// readPID reads from the start, wherever the position of fd is.
func readPID(fd int) (int, error) {
	var buf [mostBytes + 1]byte
	n, err := retry(func() (int, error) { return unix.Pread(fd, buf[:], 0) })
	if err != nil {
		return 0, err
	}
	return parsePID(buf[:n])
}

func unreadableOr(err error) Kind {
	switch err {
	case unix.ENOENT:
		return vanished
	case unix.ELOOP: // swapped for a link since the look
		return NotFile
	}
	return Unreadable
}

// checkFile refuses what could block, hang or belong elsewhere. A second name
// could be a hard link by which somebody lends an old file of root's his words.
func checkFile(st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFLNK:
		return errors.New("it is a symbolic link")
	case unix.S_IFDIR:
		return errors.New("it is a directory")
	case unix.S_IFIFO:
		return errors.New("it is a named pipe")
	case unix.S_IFSOCK:
		return errors.New("it is a socket")
	default:
		return errors.New("it is a device")
	}
	if st.Nlink > 1 {
		return fmt.Errorf("it has %d names (hard links)", st.Nlink)
	}
	return nil
}

// parsePID reads the content of a file: digits without leading zeros, then any
// amount of white space.
func parsePID(content []byte) (int, error) {
	if len(content) > mostBytes {
		return 0, fmt.Errorf("it is longer than %d bytes", mostBytes)
	}
	digits := bytes.TrimRight(content, " \t\r\n")
	if len(digits) == 0 {
		return 0, errors.New("it is empty")
	}
	pid, ok := number(string(digits))
	if !ok || pid < 1 || pid > highestPID {
		return 0, fmt.Errorf("%q is no PID", digits)
	}
	return pid, nil
}
