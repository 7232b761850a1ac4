package staging

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Permitted returns nil when brood may start workers as this user, as far as can
// be told without trying, and otherwise why not and what to do. A worker's start
// can still fail, and says so.
func (u User) Permitted() error { return u.permitted("/proc/self") }

func (u User) permitted(self string) error {
	caps, err := effective()
	if err != nil {
		return err
	}
	uid := os.Geteuid()
	wanted := map[int]string{unix.CAP_SETUID: "CAP_SETUID", unix.CAP_SETGID: "CAP_SETGID"}
	if int(u.UID) != uid {
		// Else a worker could be started, and never be told to stop.
		wanted[unix.CAP_KILL] = "CAP_KILL"
	}
	lacking := ""
	for bit, name := range wanted {
		if caps>>bit&1 == 0 && lacking < name {
			lacking = name
		}
	}
	switch {
	case lacking != "" && int(u.UID) == uid:
		return fmt.Errorf("brood runs as user %d already, and cannot set its groups without %s: leave it out", uid, lacking)
	case lacking != "" && uid == 0:
		return fmt.Errorf("brood has no %s: give it that capability, or start brood as that user", lacking)
	case lacking != "":
		return fmt.Errorf("brood runs as user %d and only root can become another: start brood as root, or as that user", uid)
	}
	const remedy = "choose one that is, or start brood as that user"
	if !mapped(self+"/uid_map", u.UID) {
		return fmt.Errorf("user %d is not mapped in this user namespace: %s", u.UID, remedy)
	}
	for _, gid := range append([]uint32{u.GID}, u.Groups...) {
		if !mapped(self+"/gid_map", gid) {
			return fmt.Errorf("group %d is not mapped in this user namespace: %s", gid, remedy)
		}
	}
	if text, err := os.ReadFile(self + "/setgroups"); err == nil && strings.TrimSpace(string(text)) == "deny" {
		return fmt.Errorf("this user namespace forbids to set groups (see user_namespaces(7)): start brood as that user")
	}
	return nil
}

// effective are the capabilities that brood may use now.
func effective() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("cannot find out what brood may do: %w", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

// mapped reports whether an ID exists in the user namespace whose map this is:
// lines of "first outside count". Without a map to be read it is assumed.
func mapped(path string, id uint32) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		var first, outside, count uint64
		if n, err := fmt.Sscan(line, &first, &outside, &count); err == nil && n == 3 && uint64(id) >= first && uint64(id) < first+count {
			return true
		}
	}
	return false
}

// Permitted returns nil when brood may give the limit to a worker, and otherwise
// why not. It finds out by raising its own hard limit for a moment: what decides
// is not only the capability, but the user namespace and, for nofile, a sysctl.
func (l Limit) Permitted() error {
	var have [2]uint64
	if errno := prlimit(l.resource, nil, &have); errno != 0 {
		return fmt.Errorf("cannot read the present limit: %w", errno)
	}
	if l.Hard <= have[1] {
		return nil
	}
	if errno := prlimit(l.resource, &[2]uint64{have[0], l.Hard}, nil); errno != 0 {
		return fmt.Errorf("the hard limit is %s here and brood may not raise it (%w): choose no more than that, or raise it for the container",
			formatLimit(have[1]), errno)
	}
	if errno := prlimit(l.resource, &have, nil); errno != 0 {
		return fmt.Errorf("cannot set the limit back: %w", errno)
	}
	return nil
}

// prlimit goes around package syscall, which would take the limit for one that
// its user has chosen, and let workers have it.
func prlimit(resource int, set, have *[2]uint64) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(have)), 0, 0)
	return errno
}
