package pidfiles

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultDirs lists the directories for those who name none, best first:
//
//	/run/brood
//	$XDG_RUNTIME_DIR/brood, if set and absolute
//	/tmp/brood-<uid>
//	/dev/shm/brood-<uid>-<mount namespace>
//
// The last is for containers with a read-only root file system. All containers
// of a pod can have the same /dev/shm, hence the name of the namespace, as from
// MountNamespace; without one the directory is left out. getenv and mntns are
// os.Getenv and MountNamespace, but for tests.
func DefaultDirs(uid int, getenv func(string) string, mntns func() string) []string {
	dirs := []string{"/run/brood"}
	// An empty or relative value is to be ignored, says the XDG specification.
	if runtime := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		dirs = append(dirs, filepath.Join(runtime, "brood"))
	}
	user := "brood-" + strconv.Itoa(uid)
	dirs = append(dirs, filepath.Join("/tmp", user))
	if ns := mntns(); ns != "" {
		dirs = append(dirs, filepath.Join("/dev/shm", user+"-"+ns))
	}
	return dirs
}

// MountNamespace is the inode number of our mount namespace, in decimal, or
// empty when /proc does not tell.
func MountNamespace() string {
	link, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return ""
	}
	return parseNamespace(link)
}

func parseNamespace(link string) string {
	inode, found := strings.CutPrefix(link, "mnt:[")
	if !found {
		return ""
	}
	inode, found = strings.CutSuffix(inode, "]")
	if _, ok := number(inode); !found || !ok {
		return ""
	}
	return inode
}

// OpenFirst opens the first of dirs that can be made, trusted and written to,
// for the Pattern with this file name. Only the last part of each path is made:
// a missing /dev/shm is not ours to invent. Unlike for Open, the parent must be
// safe as well, since nobody has chosen it: root's or ours, and sticky if
// others may write to it. If none will do the error says why, one by one.
func OpenFirst(dirs []string, name string, o Options) (*Dir, error) {
	var reasons []error
	for _, dir := range dirs {
		d, err := openDefault(filepath.Join(dir, name), o)
		if err == nil {
			return d, nil
		}
		reasons = append(reasons, err)
	}
	return nil, fmt.Errorf("cannot find a directory for PID files: %w", errors.Join(reasons...))
}

func openDefault(setting string, o Options) (*Dir, error) {
	p, err := Parse(setting)
	if err != nil {
		return nil, err
	}
	if err := checkParent(filepath.Dir(p.dir), o.Sys.withDefaults().EUID()); err != nil {
		return nil, err
	}
	d, err := Open(p, o)
	if err != nil || o.Existing {
		return d, err
	}
	// root's directory is trusted by everybody and writable by few, and only a
	// try takes read-only mounts, quotas and security modules into account.
	temp, err := d.writeTemp(d.sys.PID())
	if err != nil {
		d.Close()
		return nil, err
	}
	_ = unix.Unlinkat(d.fd, temp, 0)
	return d, nil
}

func checkParent(dir string, us int) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("cannot look at directory %q: %w", dir, err)
	}
	const remedy = "name a directory"
	if st.Uid != 0 && int(st.Uid) != us {
		return &UntrustedError{Dir: dir, Reason: fmt.Sprintf("uid %d owns it", st.Uid), Remedy: remedy}
	}
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return &UntrustedError{Dir: dir, Reason: fmt.Sprintf("others may write to it (mode %04o)", st.Mode&0o7777), Remedy: remedy}
	}
	return nil
}
