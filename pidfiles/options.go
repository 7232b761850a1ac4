package pidfiles

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
)

// Options are for Open and OpenFirst. The zero value is right for a master that
// does everything as one user.
type Options struct {
	// OwnerUID is a user besides root and ourselves who may own the directory;
	// one that Open makes is given to it. 0 means nobody. What this user writes
	// is still believed only about this user's processes.
	OwnerUID int

	// Existing makes Open fail with fs.ErrNotExist, rather than make the
	// directory: for those who only want to look.
	Existing bool

	// Sys is the system below. The zero value is the real one.
	Sys Sys
}

// Sys is the seam between this package and the system. Tests set the fields
// that they are about; each zero field means the real thing.
type Sys struct {
	Proc       proc.FS
	PID        func() int           // our own PID, which no file may name
	EUID       func() int           // our effective user
	BootOffset func() time.Duration // wall clock minus boot clock, now

	PidfdOpen       func(pid int) (fd int, err error)            // pidfd_open(2), Linux 5.3
	PidfdSendSignal func(fd int, signal syscall.Signal) error    // pidfd_send_signal(2), Linux 5.1
	Kill            func(pid int, signal syscall.Signal) error   // kill(2)
	Flock           func(fd int, how int) error                  // flock(2)
	RenameNew       func(dir int, oldName, newName string) error // renameat2(2), RENAME_NOREPLACE
}

func (s Sys) withDefaults() Sys {
	if s.PID == nil {
		s.PID = os.Getpid
	}
	if s.EUID == nil {
		s.EUID = os.Geteuid
	}
	if s.BootOffset == nil {
		s.BootOffset = proc.BootOffset
	}
	if s.PidfdOpen == nil {
		s.PidfdOpen = func(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }
	}
	if s.PidfdSendSignal == nil {
		s.PidfdSendSignal = func(fd int, signal syscall.Signal) error { return unix.PidfdSendSignal(fd, signal, nil, 0) }
	}
	if s.Kill == nil {
		s.Kill = unix.Kill
	}
	if s.Flock == nil {
		s.Flock = unix.Flock
	}
	if s.RenameNew == nil {
		s.RenameNew = func(dir int, oldName, newName string) error {
			return unix.Renameat2(dir, oldName, dir, newName, unix.RENAME_NOREPLACE)
		}
	}
	return s
}
