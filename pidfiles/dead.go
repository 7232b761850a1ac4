package pidfiles

import (
	"golang.org/x/sys/unix"
)

// LockDead claims a Pattern whose master has died, to clean up after it: as long
// as it is held no master can start. Unlike LockMaster it names nobody in the
// file, so that nobody takes the caller for a master, and Release removes
// whatever the dead one has left in it. The error is a *ClaimError of
// ErrMasterAlive if a master, or somebody else who cleans up, has the lock.
func (d *Dir) LockDead() (*Master, error) { return d.LockMaster(unnamed) }

// unnamed stands for the PID of a Master that names none.
const unnamed = 0

// LockRequest is for those who ask the master for the same thing, such as to
// stop: the first has the lock until release, and the others wait for what it
// brings about. It is independent of the master's own lock. Where it cannot be
// had for other reasons, everybody is the first.
func (d *Dir) LockRequest() (release func(), first bool) {
	fd, err := openat(d.fd, d.pattern.nameOf(master), unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return func() {}, true
	}
	release = func() { _ = unix.Close(fd) }
	// Of the open file and not of the process, which may have several.
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lock)
	if err == unix.EAGAIN || err == unix.EACCES {
		release()
		return func() {}, false
	}
	return release, true
}

// Empty reports that no file of the Pattern is there: nothing runs, and nothing
// is left of what has run. An error counts as a file.
func (d *Dir) Empty() bool {
	var st unix.Stat_t
	files, temps, problem := d.entries()
	return problem == nil && len(files)+len(temps) == 0 &&
		unix.Fstatat(d.fd, d.pattern.nameOf(master), &st, unix.AT_SYMLINK_NOFOLLOW) == unix.ENOENT
}
