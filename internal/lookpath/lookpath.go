// Package lookpath finds the file that a command names, as execvp(3) does.
// os/exec's LookPath is no substitute: it takes a match that cannot be executed
// for none at all, which shells and container engines tell apart (126, 127).
package lookpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Default is searched when PATH is not set.
const Default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// ErrNotFound says that there is no such file, ErrNotExecutable that there is
// one, but not to be executed.
var (
	ErrNotFound      = errors.New("not found")
	ErrNotExecutable = errors.New("not executable")
)

// Find returns the file that name stands for. A name with a slash is a path,
// relative to dir; any other is searched for in path, a list as in PATH, where
// a match that cannot be executed counts only when no other is found. dir ""
// is the working directory. The error wraps ErrNotFound or ErrNotExecutable.
func Find(name, path, dir string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("cannot find a command without a name: %w", ErrNotFound)
	}
	if strings.Contains(name, "/") {
		file := within(dir, name)
		return file, check(file)
	}
	if path == "" {
		path = Default
	}
	var refused error
	for _, d := range filepath.SplitList(path) {
		if d == "" {
			d = "." // POSIX: an empty entry is the working directory
		}
		file := within(dir, d+"/"+name)
		err := check(file)
		if err == nil {
			return file, nil
		}
		if refused == nil && errors.Is(err, ErrNotExecutable) {
			refused = err
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", fmt.Errorf("cannot find %q in PATH: %w", name, ErrNotFound)
}

func check(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("cannot find %q: %w", file, ErrNotFound)
	case err != nil:
		return fmt.Errorf("cannot execute %q: %w (%w)", file, ErrNotExecutable, errors.Unwrap(err))
	case info.IsDir():
		return fmt.Errorf("cannot execute %q: %w, it is a directory", file, ErrNotExecutable)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("cannot execute %q: %w (%w)", file, ErrNotExecutable, err)
	}
	return nil
}

// within does not clean the path: a symbolic link before ".." must be followed.
func within(dir, name string) string {
	if filepath.IsAbs(name) || dir == "" {
		return name
	}
	return dir + "/" + name
}
