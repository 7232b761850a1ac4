// Package multiproc cleans the directory in which processes that serve one page
// of metrics together keep their figures: PROMETHEUS_MULTIPROC_DIR of the client
// for Python, and the DirectFileStore of the one for Ruby.
//
// The files of a dead process stay, and are counted on. Those of another life of
// the container are wrong: they have to go before the first process starts. And
// a gauge that is to tell of living processes must not tell of a dead one.
//
// The directory may be anybody's, and may hold anything. Only regular files
// whose name is exactly one that the clients make, and that belong to whom the
// workers belong to, are removed, by their name in the open directory; no link is
// followed, and the directory itself stays.
package multiproc

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is a directory of figures. It need not exist yet, or any more.
type Dir struct {
	Path   string   // absolute
	Owners []uint32 // users whose files may be removed
}

// liveModes are the modes of the Python client's gauges that are about living
// processes.
func liveModes() []string {
	return []string{"liveall", "livemax", "livemin", "livemostrecent", "livesum"}
}

// names are those of all files that the clients make.
func names() *regexp.Regexp {
	return regexp.MustCompile(`^(?:` +
		`(?:counter|histogram|summary|gauge_(?:live)?(?:all|max|min|mostrecent|sum))_[1-9][0-9]*\.db|` + // Python
		`metric_[a-zA-Z_:][a-zA-Z0-9_:]*___[1-9][0-9]*\.bin` + // Ruby
		`)$`)
}

// Wipe removes the files of all processes, and returns how many there were.
func (d Dir) Wipe() (int, error) {
	dir, err := d.open()
	if err != nil || dir == nil {
		return 0, err
	}
	defer dir.Close()
	pattern := names()
	removed := 0
	var problems []error
	for {
		// Some at a time: there have been directories with 50,000 files.
		batch, err := dir.Readdirnames(1024)
		for _, name := range batch {
			if !pattern.MatchString(name) {
				continue
			}
			gone, err := d.remove(dir, name, time.Time{})
			if gone {
				removed++
			}
			if err != nil && len(problems) < 3 {
				problems = append(problems, err)
			}
		}
		if err != nil || len(batch) == 0 {
			return removed, errors.Join(problems...)
		}
	}
}

// Bury removes the files about a process as a living one, which has died at the
// given time: what was written later is of another process with its number.
func (d Dir) Bury(pid int, died time.Time) error {
	dir, err := d.open()
	if err != nil || dir == nil {
		return err
	}
	defer dir.Close()
	var problems []error
	for _, mode := range liveModes() {
		_, err := d.remove(dir, "gauge_"+mode+"_"+strconv.Itoa(pid)+".db", died)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// open returns nil if there is no directory.
func (d Dir) open() (*os.File, error) {
	fd, err := unix.Open(d.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case err == unix.ENOENT:
		return nil, nil
	case err == unix.ENOTDIR || err == unix.ELOOP:
		return nil, fmt.Errorf("cannot clean %q: it is no directory, or a link to one", d.Path)
	case err != nil:
		return nil, fmt.Errorf("cannot clean %q: %w", d.Path, err)
	}
	return os.NewFile(uintptr(fd), d.Path), nil
}

// remove removes a file if it is what it should be, and not younger than before
// unless that is zero.
func (d Dir) remove(dir *os.File, name string, before time.Time) (removed bool, err error) {
	var stat unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, d.problem(name, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG || !slices.Contains(d.Owners, stat.Uid) {
		return false, nil
	}
	if !before.IsZero() && time.Unix(stat.Mtim.Unix()).After(before) {
		return false, nil
	}
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil {
		return false, d.problem(name, err)
	}
	return true, nil
}

func (d Dir) problem(name string, err error) error {
	if err == unix.ENOENT {
		return nil // somebody else was faster
	}
	return fmt.Errorf("cannot remove %q from %q: %w", name, d.Path, err)
}
