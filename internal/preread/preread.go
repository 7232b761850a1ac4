// Package preread reads what execve(2) will read, before it does.
//
// Between fork and exec Go's ForkExec waits in vfork, on a thread that the
// runtime cannot stop: see package worldstop, which makes that bearable for as
// long as memory lasts. If the file comes from a disk or a server that hangs, an
// ordinary system call may hang for as long
// as it likes: the runtime gives its CPU away. After that the way to the file
// and its first pages are in memory, and who asks for them again is not kept
// waiting.
//
// What execve reads before it lets go of the parent is the start of each file,
// the table of segments of an ELF file, and the name of its loader
// (load_elf_binary of Linux: the loader's own headers are read before
// begin_new_exec, all segments are mapped after it).
//
// execveat(2) with AT_EXECVE_CHECK, of Linux 6.14, would be no better way: while
// it looks, all threads share a mark (fs->in_exec) that makes clone(2) fail, and
// a Go program that cannot make a thread dies.
package preread

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// headSize has room for the headers of nearly all programs and the name of
	// the loader, which linkers put right behind them. The kernel reads a page.
	headSize = 1024
	// depth is how often an interpreter may have an interpreter. Linux allows
	// five of them (exec_binprm).
	depth = 6
	// pathMax is the longest name of a loader that Linux takes.
	pathMax = 4096
)

// Program reads what a process will that changes to the directory dir, "" for
// none, and executes path there: what it reads of the file, its interpreter,
// that one's and so on. It returns when all is in memory or cannot be had. Why
// not, execve will say.
func Program(dir, path string) {
	at := unix.AT_FDCWD
	if dir != "" {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer func() { _ = unix.Close(fd) }()
		at = fd
	}
	for range depth {
		if path = readProgram(at, path); path == "" {
			return
		}
	}
}

// readProgram returns the name of the file's interpreter or loader, "" for none.
func readProgram(at int, path string) (interpreter string) {
	// What is no file may do something when it is opened, or wait for a writer.
	var st unix.Stat_t
	if unix.Fstatat(at, path, &st, 0) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ""
	}
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "" // it may be executed without being readable
	}
	defer func() { _ = unix.Close(fd) }()
	var head [headSize]byte
	n, err := unix.Pread(fd, head[:], 0)
	if err != nil {
		return ""
	}
	file := file{fd: fd, head: head[:n]}
	if line, isScript := strings.CutPrefix(string(file.head[:min(n, scriptSize)]), "#!"); isScript {
		return scriptInterpreter(line)
	}
	return file.loader()
}

// scriptSize is how much of a script's first line counts (BINPRM_BUF_SIZE).
const scriptSize = 256

func scriptInterpreter(line string) string {
	line, _, _ = strings.Cut(line, "\n")
	line = strings.TrimLeft(line, " \t")
	if end := strings.IndexAny(line, " \t\x00"); end >= 0 {
		line = line[:end]
	}
	return line
}

// file is an open file whose beginning is known.
type file struct {
	fd   int
	head []byte
}

// bytes returns what stands in the file there, nil if it is not all there.
func (f *file) bytes(offset, length uint64) []byte {
	if end := offset + length; end >= offset && end <= uint64(len(f.head)) {
		return f.head[offset:end]
	}
	if length > 1<<16 || offset > 1<<62 {
		return nil
	}
	b := make([]byte, length)
	if n, err := unix.Pread(f.fd, b, int64(offset)); err != nil || uint64(n) != length {
		return nil
	}
	return b
}

// loader reads the table of segments for PT_INTERP, in 64-bit files of this
// machine's byte order: see elf(5).
func (f *file) loader() string {
	const (
		header, segment = 64, 56
		ptInterp        = 3
		ident           = "\x7fELF\x02\x01"
	)
	order := binary.LittleEndian
	h := f.bytes(0, header)
	if h == nil || string(h[:len(ident)]) != ident || order.Uint16(h[54:]) != segment {
		return ""
	}
	table := f.bytes(order.Uint64(h[32:]), uint64(order.Uint16(h[56:]))*segment)
	for ; len(table) >= segment; table = table[segment:] {
		if order.Uint32(table) != ptInterp {
			continue
		}
		offset, length := order.Uint64(table[8:]), order.Uint64(table[32:])
		if length > pathMax {
			return ""
		}
		name, _, _ := strings.Cut(string(f.bytes(offset, length)), "\x00")
		return name
	}
	return ""
}
