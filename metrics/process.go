package metrics

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
)

// processReader reads about processes under one /proc, for one scrape at a time.
type processReader struct {
	fs    proc.FS
	root  string
	own   bool // /proc of this kernel, so system calls by PID mean the same process
	sized bool // the size of /proc/PID/fd is the number of descriptors
	// pageBytes is the unit of a resident set.
	pageBytes float64
	path      []byte
	buf       []byte
}

const (
	readBuffer = 32 << 10
	// maxFDs bounds the descriptors that are counted one by one, before Linux
	// 6.2: 10,000 of them take 3.4 ms, at every scrape.
	maxFDs = 4096
)

func newProcessReader(fs proc.FS) *processReader {
	p := &processReader{fs: fs, root: string(fs), pageBytes: float64(unix.Getpagesize()), buf: make([]byte, readBuffer)}
	if fs == "" || fs == "/proc" {
		p.root, p.own = "/proc", true
		// Each process has a descriptor open, this one above all: the kernel
		// that says 0 does not count (before Linux 6.2, gVisor).
		var st unix.Stat_t
		p.sized = unix.Stat("/proc/self/fd", &st) == nil && st.Size > 0
	}
	return p
}

// name is the path of something in a process's directory.
func (p *processReader) name(pid int, rest string) string {
	p.path = append(append(p.path[:0], p.root...), '/')
	p.path = strconv.AppendInt(p.path, int64(pid), 10)
	p.path = append(p.path, rest...)
	return string(p.path)
}

// fds counts the open descriptors of a process. errTooMany says that they
// cannot be counted cheaply.
func (p *processReader) fds(pid int) (int, error) {
	path := p.name(pid, "/fd")
	if p.sized {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		return int(st.Size), err
	}
	n := 0
	err := p.entries(path, func([]byte) bool {
		n++
		return n <= maxFDs
	})
	if err == nil && n > maxFDs {
		err = errTooMany
	}
	return n, err
}

var errTooMany = errors.New("too many to count")

// fdLimit is the soft limit on descriptors of a process. It may change: nginx
// raises its own. prlimit(2) takes 0.3 us and is asked each time; without the
// right to ask about another user's process (Docker's default capabilities have
// none) the file is parsed, unless a value of the same process is known.
func (p *processReader) fdLimit(pid int, known uint64) (uint64, error) {
	if p.own {
		var limit unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err == nil {
			return limit.Cur, nil
		}
	}
	if known != 0 {
		return known, nil
	}
	return p.fdLimitOfFile(pid)
}

func (p *processReader) fdLimitOfFile(pid int) (uint64, error) {
	text, err := p.read(p.name(pid, "/limits"))
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(text, []byte("\nMax open files"))
	word, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	n, err := strconv.ParseUint(string(word), 10, 64)
	if !found || err != nil {
		return 0, errors.New("no soft limit on open files in it") // or "unlimited", which the kernel does not allow
	}
	return n, nil
}

// children appends the children of a process, of all its threads. It fails on a
// kernel without CONFIG_PROC_CHILDREN.
func (p *processReader) children(pids []int, of int) ([]int, error) {
	threads := make([]int, 0, 32)
	err := p.entries(p.name(of, "/task"), func(name []byte) bool {
		if tid, ok := number(name); ok {
			threads = append(threads, tid)
		}
		return true
	})
	if err != nil {
		return pids, err
	}
	found := false
	for _, tid := range threads {
		p.path = append(strconv.AppendInt(append(p.path[:0], "/task/"...), int64(tid), 10), "/children"...)
		text, err := p.read(p.name(of, string(p.path)))
		if err != nil {
			continue // the thread has ended, and its children are another's now
		}
		found = true
		for word := range bytes.FieldsSeq(text) {
			if pid, ok := number(word); ok {
				pids = append(pids, pid)
			}
		}
	}
	if !found {
		return pids, errors.ErrUnsupported
	}
	return pids, nil
}

// read reads a file of any length into the reader's buffer, which grows.
func (p *processReader) read(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	used := 0
	for {
		if used == len(p.buf) {
			p.buf = append(p.buf, make([]byte, len(p.buf))...)
		}
		n, err := unix.Read(fd, p.buf[used:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n == 0:
			return p.buf[:used], nil
		default:
			used += n
		}
	}
}

// entries calls each with the names in a directory until it returns false. The
// names are not copied.
func (p *processReader) entries(path string, each func(name []byte) bool) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.ReadDirent(fd, p.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		for rest := p.buf[:n]; len(rest) > direntName; {
			length := int(binary.NativeEndian.Uint16(rest[direntLength:]))
			if length <= direntName || length > len(rest) {
				return errors.New("malformed directory entry")
			}
			name, _, _ := bytes.Cut(rest[direntName:length], []byte{0})
			rest = rest[length:]
			if string(name) != "." && string(name) != ".." && !each(name) {
				return nil
			}
		}
	}
}

// Where a linux_dirent64 has its length and its name (getdents64(2)).
const (
	direntLength = 16
	direntName   = 19
)

func number(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<26 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(b) > 0
}
