// Package self finds the program that runs here, to execute it again.
package self

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Path is an absolute path that leads to this program now. It is the path that
// the program was started by, with its symbolic links, if that still does: what
// is put in its place later is what the path will lead to then. Otherwise it is
// the file's own name, or if that is gone, a descriptor that stays open for as
// long as the process lives. Call it before the working directory changes.
func Path() (string, error) {
	var running unix.Stat_t
	known := unix.Stat("/proc/self/exe", &running) == nil
	leads := func(path string) bool {
		var st unix.Stat_t
		return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG &&
			(!known || st.Dev == running.Dev && st.Ino == running.Ino)
	}
	started, err := filepath.Abs(StartedAs())
	if err == nil && leads(started) {
		return started, nil
	}
	if name, err := os.Readlink("/proc/self/exe"); err == nil && leads(name) {
		return name, nil
	}
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("cannot find this program's own file, which was started as %q: %w", StartedAs(), err)
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}

// StartedAs is the path that execve was called with: AT_EXECFN of getauxval(3),
// which unlike argv[0] nobody can make up.
func StartedAs() string {
	const atExecFn = 31
	vector, err := unix.Auxv()
	if err != nil {
		return os.Args[0]
	}
	for _, entry := range vector {
		if address := entry[1]; entry[0] == atExecFn {
			// It lies above the stack for as long as the process lives. The
			// detour is for go vet, which takes uintptrs for addresses of Go.
			return unix.BytePtrToString(*(**byte)(unsafe.Pointer(&address)))
		}
	}
	return os.Args[0]
}
