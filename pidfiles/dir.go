package pidfiles

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is the directory of a Pattern, checked and held open. Its methods may be
// called from any goroutine, but none during or after Close.
type Dir struct {
	pattern  Pattern
	fd       int // O_PATH
	sys      Sys
	opened   time.Duration // the boot offset when brood started, or close to it
	temps    atomic.Uint64 // temporary files so far
	degraded atomic.Bool

	// names is held from the look at a name to what is done about it: the
	// kernel knows no "remove this file, unless another one has its name".
	names sync.Mutex

	mu    sync.Mutex
	wrote map[int]int // index to PID of the files that Write has made and Remove has not taken
}

// Open makes the directory of p with mode 0755, parents included, unless it
// exists, and checks that only root, we and Options.OwnerUID can write to it:
// an *UntrustedError says what is wrong otherwise. The caller closes the Dir.
func Open(p Pattern, o Options) (*Dir, error) {
	made := false
	if !o.Existing {
		var err error
		if made, err = makeDir(p.dir); err != nil {
			return nil, fmt.Errorf("cannot make directory %q: %w", p.dir, err)
		}
	}
	fd, err := openDir(p.dir)
	if err != nil {
		return nil, err
	}
	d := &Dir{pattern: p, fd: fd, sys: o.Sys.withDefaults(), wrote: make(map[int]int)}
	d.opened = d.sys.BootOffset()
	if err := d.checkTrust(o.OwnerUID, made); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Pattern is what the Dir was opened for.
func (d *Dir) Pattern() Pattern { return d.pattern }

// Owner is the user who owns the directory.
func (d *Dir) Owner() (uid int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return -1, fmt.Errorf("cannot look at directory %q: %w", d.pattern.dir, err)
	}
	return int(st.Uid), nil
}

// Degraded reports that a process had to be checked or signalled without a
// pidfd so far, because the kernel refused one: see the package comment.
func (d *Dir) Degraded() bool { return d.degraded.Load() }

// Close lets go of the directory and leaves all files where they are. What List
// returned stays usable; a Master has to be released before.
func (d *Dir) Close() error { return unix.Close(d.fd) }

func openDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd, nil
	}
	// open(2) says ENOTDIR for a link to a directory as well.
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		target, _ := os.Readlink(path)
		return -1, &UntrustedError{Dir: path, Reason: "it is a symbolic link", Remedy: fmt.Sprintf("name the directory itself (%q)", target)}
	}
	return -1, fmt.Errorf("cannot open directory %q: %w", path, err)
}

// checkTrust also hands a directory that we have just made to its owner.
func (d *Dir) checkTrust(owner int, made bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return fmt.Errorf("cannot look at directory %q: %w", d.pattern.dir, err)
	}
	uid, us := int(st.Uid), d.sys.EUID()
	switch {
	case uid != 0 && uid != us && (owner <= 0 || uid != owner):
		return &UntrustedError{
			Dir: d.pattern.dir, Reason: fmt.Sprintf("uid %d owns it", uid),
			Remedy: fmt.Sprintf("give it to uid %d or to root, or name another directory", us),
		}
	case st.Mode&0o002 != 0 && st.Mode&unix.S_ISVTX != 0:
		own := filepath.Join(d.pattern.dir, fmt.Sprintf("brood-%d", us), d.pattern.stem+d.pattern.ext)
		return &UntrustedError{
			Dir: d.pattern.dir, Reason: fmt.Sprintf("everybody may write to it (mode %04o)", st.Mode&0o7777),
			Remedy: fmt.Sprintf("name a directory of its own, such as %q", own),
		}
	case st.Mode&0o022 != 0:
		return &UntrustedError{
			Dir: d.pattern.dir, Reason: fmt.Sprintf("others may write to it (mode %04o)", st.Mode&0o7777),
			Remedy: "take that right away (chmod go-w), or name another directory",
		}
	}
	if made && owner > 0 && owner != uid {
		if err := unix.Fchownat(d.fd, "", owner, -1, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("cannot give directory %q to uid %d: %w", d.pattern.dir, owner, err)
		}
	}
	return nil
}

// makeDir makes path and what is missing above it, and reports whether it made
// path itself. It says nothing about a path that exists, directory or not.
func makeDir(path string) (made bool, err error) {
	err = unix.Mkdir(path, 0o755)
	if err == unix.ENOENT && path != filepath.Dir(path) {
		if _, err := makeDir(filepath.Dir(path)); err != nil {
			return false, err
		}
		err = unix.Mkdir(path, 0o755)
	}
	switch err {
	case nil:
		return true, openToAll(path)
	case unix.EEXIST: // the kernel looks for this before it looks for EROFS or EACCES
		return false, nil
	}
	return false, err
}

// openToAll undoes what the umask did to a directory that we have made: workers
// may run as somebody else, and must reach their files.
func openToAll(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, 0o755)
}

// entry is the name of a file that fits the Pattern.
type entry struct {
	name  string
	index int
}

// entries lists the files that fit the Pattern, by ascending index, and those
// that are called like our temporary files.
func (d *Dir) entries() (files []entry, temps []string, problem *Problem) {
	names, err := d.listing()
	if err != nil {
		return nil, nil, &Problem{Path: d.pattern.dir, Kind: Unreadable, Err: fmt.Errorf("cannot list the directory: %w", err)}
	}
	for _, name := range names {
		if i, ok := d.pattern.Index(name); ok {
			files = append(files, entry{name, i})
		} else if _, ok := d.pattern.tempWriter(name); ok {
			temps = append(temps, name)
		}
	}
	slices.SortFunc(files, func(a, b entry) int { return a.index - b.index })
	return files, temps, nil
}

func (d *Dir) listing() ([]string, error) {
	// A directory opened by O_PATH cannot be read; a second descriptor also
	// gives each caller a position of its own.
	fd, err := openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), d.pattern.dir)
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (d *Dir) path(name string) string { return filepath.Join(d.pattern.dir, name) }

// openat opens close-on-exec: no worker inherits a lock or a file of ours.
func openat(dir int, name string, flags int, mode uint32) (int, error) {
	return retry(func() (int, error) { return unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode) })
}

// retry calls again what a signal has interrupted. Local file systems never do
// that; FUSE does (golang.org/issue/11180), and it lies under rootless podman.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
