package entrypoint

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/pidfiles"
)

// registry is where this brood's workers are listed, and its lock on that. All
// are nil when no directory could be had.
type registry struct {
	dir *pidfiles.Dir
	// own has the master's file, and the control socket beside it. It is dir,
	// unless that belongs to the user of the workers: what brood acts on must be
	// out of that user's reach.
	own    *pidfiles.Dir
	master *pidfiles.Master
}

// opening is what all ways to a registry need.
type opening struct {
	owner   int // the user of the workers, 0 if that is brood's or root
	options pidfiles.Options
	warnf   func(line)
}

// openRegistry opens the directory of a pattern that was asked for, where
// trouble is an error, or else the first default that will do, where trouble
// is a warning.
func openRegistry(cfg *Config, processes proc.FS, warnf func(line)) (registry, error) {
	o := opening{cfg.workersOwner(), pidfiles.Options{Sys: pidfiles.Sys{Proc: processes}}, warnf}
	if setting, explicit := cfg.explicitPIDFile(); explicit {
		return o.explicit(setting)
	}
	r, err := o.first(pidfiles.DefaultDirs(os.Getuid(), os.Getenv, pidfiles.MountNamespace), cfg.program.pidFile())
	if err != nil && cfg.program.detached != nil {
		return registry{}, err // a daemon is found by its files, and there is one of it
	}
	if claim, taken := errors.AsType[*pidfiles.ClaimError](err); taken {
		// A name of this brood's own, in the same directory.
		dir, name := filepath.Dir(claim.Path), cfg.program.name()+"-"+strconv.Itoa(os.Getpid())+".pid"
		warnf(warnLine("another brood uses the default PID files, using a name of its own; set --pidfile to choose one", slog.String("pidfile", filepath.Join(dir, name))))
		r, err = o.first([]string{dir}, name)
	}
	if err != nil {
		warnf(warnLine("no PID files are written and no process can register; set --pidfile to a directory that can be written", slog.String("error", err.Error())))
		return registry{}, nil
	}
	return r, nil
}

// workersOwner is the user to whom the workers' directory is to belong, 0 for
// brood's own.
func (c *Config) workersOwner() int {
	if u := c.User.Value; u != nil && int(u.UID) != os.Geteuid() {
		return int(u.UID)
	}
	return 0
}

// first takes the first of the directories that will do for brood's own. Below
// it the workers' user has one of his own.
func (o opening) first(dirs []string, name string) (registry, error) {
	own, err := pidfiles.OpenFirst(dirs, name, o.options)
	if err != nil {
		return registry{}, err
	}
	r := registry{dir: own, own: own}
	if o.owner != 0 {
		p := own.Pattern()
		if r.dir, err = o.handOver(p.In(filepath.Join(p.Dir(), strconv.Itoa(o.owner)))); err != nil {
			return registry{}, errors.Join(err, own.Close())
		}
	}
	return o.lock(r)
}

// explicit takes the directory that was asked for. One that belongs to the
// workers' user gets a neighbour for what is brood's own.
func (o opening) explicit(setting string) (registry, error) {
	pattern, err := pidfiles.Parse(setting)
	if err != nil {
		return registry{}, err
	}
	dir, err := o.handOver(pattern)
	if err != nil {
		return registry{}, err
	}
	r := registry{dir: dir, own: dir}
	if o.owner != 0 {
		switch uid, err := dir.Owner(); {
		case err != nil:
			return registry{}, errors.Join(err, dir.Close())
		case uid == o.owner:
			r.own, err = pidfiles.OpenFirst([]string{masterDir(pattern.Dir())}, filepath.Base(setting), o.options)
			if err != nil {
				return registry{}, errors.Join(fmt.Errorf("cannot keep brood's own files from user %d: %w", o.owner, err), dir.Close())
			}
		default:
			o.warnf(warnLine("workers cannot register processes: the directory of the PID files is not theirs; give it to them, or name one that is to be made",
				slog.String("pidfile", setting), slog.Int("uid", o.owner)))
		}
	}
	return o.lock(r)
}

// handOver opens a directory and gives it to the workers' user if it is new.
func (o opening) handOver(p pidfiles.Pattern) (*pidfiles.Dir, error) {
	o.options.OwnerUID = o.owner
	return pidfiles.Open(p, o.options)
}

// lock completes a registry, or closes what it has.
func (o opening) lock(r registry) (registry, error) {
	master, err := r.own.LockMaster(os.Getpid())
	if err == nil {
		r.master = master
		return r, nil
	}
	err = errors.Join(err, r.own.Close())
	if r.dir != r.own {
		err = errors.Join(err, r.dir.Close())
	}
	return registry{}, err
}

// masterDir is where brood keeps what is its own when it gives the directory of
// the PID files away.
func masterDir(dir string) string { return dir + "-master" }

// ownPattern is what a PID-file pattern is with brood's own directory in it. It
// looks at who owns which directory, and believes root and ourselves.
func ownPattern(pattern string) string {
	trusted := func(dir string) bool {
		var st unix.Stat_t
		return unix.Lstat(dir, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&0o022 == 0 &&
			(st.Uid == 0 || int(st.Uid) == os.Geteuid())
	}
	dir, name := filepath.Split(pattern)
	dir = filepath.Clean(dir)
	if trusted(dir) {
		return pattern
	}
	if own := masterDir(dir); trusted(own) {
		return filepath.Join(own, name)
	}
	if _, err := strconv.Atoi(filepath.Base(dir)); err == nil && trusted(filepath.Dir(dir)) {
		return filepath.Join(filepath.Dir(dir), name)
	}
	return pattern
}

// ownPattern is that of brood's own files, or empty if it has none.
func (r registry) ownPattern() string {
	if r.own == nil {
		return ""
	}
	return r.own.Pattern().String()
}

// release removes the master's file of a brood that does not start after all.
func (r registry) release() {
	if r.master != nil {
		_ = r.master.Release() // a file that stays is stale, and taken for that
	}
}

// cleanStale removes what an earlier life has left, and returns the keys of the
// problems that it has reported.
func (r registry) cleanStale(logf func(line)) (reported []string) {
	if r.dir == nil {
		return nil
	}
	removed, problems := r.dir.CleanStale()
	if len(removed) > 0 {
		logf(infoLine("removed stale PID files", slog.Int("files", len(removed))))
	}
	for i := range problems {
		logf(warnLine("PID file refused", slog.String("error", problems[i].Error())))
		reported = append(reported, problems[i].Key())
	}
	return reported
}

// taken returns the numbers that living processes have registered under.
func (r registry) taken() map[int]int {
	if r.dir == nil {
		return nil
	}
	listed, _ := r.dir.List(nil)
	numbers := make(map[int]int, len(listed))
	for _, p := range listed {
		numbers[p.Index] = p.PID
		p.Close()
	}
	return numbers
}
