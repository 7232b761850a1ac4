package pidfiles

import (
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Write registers process pid under index i, by a file that appears complete
// and with mode 0644. A file that is there already is replaced when this Dir
// has written it, and when it names pid, or nobody alive. If it names another
// living process, or one that cannot be verified, the error is a *ClaimError of
// ErrTaken and the file stays.
//
// Between masters that are locked and processes that choose free numbers this
// is exact. A process that takes a number in the very moment in which a stale
// file of that number is replaced loses it.
func (d *Dir) Write(i, pid int) error {
	if i < 0 || pid <= 1 || pid > highestPID {
		return fmt.Errorf("cannot register process %d under index %d: index from 0 and PID from 2 wanted", pid, i)
	}
	temp, err := d.writeTemp(pid)
	if err != nil {
		return err
	}
	d.names.Lock()
	defer d.names.Unlock()
	if err := d.install(temp, i, pid); err != nil {
		_ = d.unlink(temp)
		return err
	}
	d.mu.Lock()
	d.wrote[i] = pid
	d.mu.Unlock()
	return nil
}

// install gives a temporary file its real name. Nothing is looked at when the
// name is free, as it nearly always is.
func (d *Dir) install(temp string, i, pid int) error {
	name := d.pattern.name(i)
	if d.sys.RenameNew(d.fd, temp, name) == nil {
		return nil
	}
	// EEXIST, or EINVAL from a file system without RENAME_NOREPLACE; whatever
	// else it was, the second rename will meet it too.
	if holder, taken := d.holder(name); taken && holder != pid && !d.hasWritten(i, holder) {
		return &ClaimError{Path: d.path(name), PID: holder, Err: ErrTaken}
	}
	if err := unix.Renameat(d.fd, temp, d.fd, name); err != nil {
		return fmt.Errorf("cannot write %q: %w", d.path(name), err)
	}
	return nil
}

// holder is the process that has a name for good reason. What cannot be looked
// at counts as one: a number that is skipped costs nothing.
func (d *Dir) holder(name string) (pid int, taken bool) {
	c, problem := d.readRegistered(name)
	if problem == nil {
		problem = d.gone(c)
	}
	return c.pid, problem == nil || problem.Kind == Unreadable
}

func (d *Dir) hasWritten(i, pid int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	written, ok := d.wrote[i]
	return ok && written == pid
}

// Remove takes back what Write(i, pid) has done. It is no error when the file
// is gone or says something else by now: it is somebody else's then, and stays.
func (d *Dir) Remove(i, pid int) error {
	d.mu.Lock()
	if d.wrote[i] == pid {
		delete(d.wrote, i)
	}
	d.mu.Unlock()

	d.names.Lock() // a successor may be about to take the name
	defer d.names.Unlock()
	name := d.pattern.name(i)
	c, problem := d.read(name)
	if problem == nil && c.pid == pid {
		problem = d.removeIfSame(name, c)
	}
	if problem != nil && (problem.Kind == Unreadable || problem.Kind == Unremoved) {
		return problem
	}
	return nil
}

func (d *Dir) unlink(name string) error { return unix.Unlinkat(d.fd, name, 0) }

// writeTemp makes a file with pid in it, under a name that no Pattern matches.
func (d *Dir) writeTemp(pid int) (name string, err error) {
	fd := -1
	for err = unix.EEXIST; err == unix.EEXIST; {
		// A name can be left over from an earlier life with the same PIDs.
		name = d.pattern.tempName(d.sys.PID(), d.temps.Add(1))
		fd, err = openat(d.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("cannot make %q: %w", d.path(name), err)
	}
	err = fill(fd, pid)
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = d.unlink(name)
		return "", fmt.Errorf("cannot write %q: %w", d.path(name), err)
	}
	return name, nil
}

func fill(fd, pid int) error {
	var space [mostBytes]byte
	text := append(strconv.AppendInt(space[:0], int64(pid), 10), '\n')
	n, err := retry(func() (int, error) { return unix.Write(fd, text) })
	if err == nil && n < len(text) {
		err = unix.ENOSPC
	}
	if err != nil {
		return err
	}
	return unix.Fchmod(fd, 0o644) // the umask had its say at open
}

// tempClaim is a claim that the writer of a temporary file is still at work.
func (d *Dir) tempClaim(name string) (claim, bool) {
	c, ok := d.statClaim(name)
	if ok {
		c.pid, ok = d.pattern.tempWriter(name)
	}
	return c, ok
}

// statClaim is a claim without a PID, for a regular file.
func (d *Dir) statClaim(name string) (claim, bool) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || checkFile(&st) != nil {
		return claim{}, false
	}
	return claim{path: d.path(name), owner: st.Uid, wrote: time.Unix(st.Mtim.Unix()), inode: idOf(&st)}, true
}
