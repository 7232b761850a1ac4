package proc

import (
	"bytes"
	"errors"
	"math"
)

// IO reads from /proc/PID/io how many bytes the process made the storage layer
// fetch and write. It needs the right to trace the process (EACCES otherwise)
// and a kernel with CONFIG_TASK_IO_ACCOUNTING (ENOENT otherwise, so Gone is no
// proof here). Zombies still answer.
func (fs FS) IO(pid int) (readBytes, writeBytes uint64, err error) {
	var buf [512]byte
	n, err := fs.read(pid, "io", buf[:])
	if err != nil {
		return 0, 0, err
	}
	readBytes, writeBytes, ok := parseIO(buf[:n])
	if !ok {
		return 0, 0, unreadable(fs, pid, "io", errMalformed)
	}
	return readBytes, writeBytes, nil
}

// UIDs reads the real, effective and saved user of a process, as seen from the
// reader's user namespace: one that is not mapped there shows as 65534.
func (fs FS) UIDs(pid int) (real, effective, saved uint32, err error) {
	status, err := fs.status(pid)
	return status.real, status.effective, status.saved, err
}

// TGID reads the process that pid belongs to. It differs from pid exactly when
// pid is the number of a thread: those have a hidden, complete directory under
// /proc as well.
func (fs FS) TGID(pid int) (int, error) {
	status, err := fs.status(pid)
	return status.tgid, err
}

var errMalformed = errors.New("malformed content")

// identity is what this package takes from /proc/PID/status.
type identity struct {
	tgid                   int
	real, effective, saved uint32
}

func (fs FS) status(pid int) (identity, error) {
	// Both lines stand in the first few hundred bytes, whatever follows.
	var buf [1024]byte
	n, err := fs.read(pid, "status", buf[:])
	if err != nil {
		return identity{}, err
	}
	id, ok := parseStatus(buf[:n])
	if !ok {
		return identity{}, unreadable(fs, pid, "status", errMalformed)
	}
	return id, nil
}

func parseStatus(b []byte) (identity, bool) {
	tgid, ok := line(b, "Tgid:\t")
	group, isNumber := decimal(tgid)
	if !ok || !isNumber || group > math.MaxInt32 {
		return identity{}, false
	}
	uids, ok := line(b, "Uid:\t")
	if !ok {
		return identity{}, false
	}
	var ids [4]uint32 // real, effective, saved, file system
	for i := range ids {
		word, rest, _ := bytes.Cut(uids, []byte{'\t'})
		id, ok := decimal(word)
		if !ok || id > math.MaxUint32 {
			return identity{}, false
		}
		ids[i], uids = uint32(id), rest
	}
	return identity{tgid: int(group), real: ids[0], effective: ids[1], saved: ids[2]}, true
}

func parseIO(b []byte) (readBytes, writeBytes uint64, ok bool) {
	r, foundRead := line(b, "read_bytes: ")
	w, foundWrite := line(b, "write_bytes: ")
	readBytes, readOK := decimal(r)
	writeBytes, writeOK := decimal(w)
	if !foundRead || !foundWrite || !readOK || !writeOK {
		return 0, 0, false
	}
	return readBytes, writeBytes, true
}

// line is the rest of the first line that starts with key. A line without its
// newline was cut off by the end of the buffer and does not count.
func line(b []byte, key string) ([]byte, bool) {
	for len(b) > 0 {
		text, rest, whole := bytes.Cut(b, []byte{'\n'})
		if value, found := bytes.CutPrefix(text, []byte(key)); found && whole {
			return value, true
		}
		b = rest
	}
	return nil, false
}
