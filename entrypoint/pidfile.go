package entrypoint

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/pidfiles"
)

// registry is where this brood's workers are listed, and its lock on it. Both
// are nil when no directory could be had.
type registry struct {
	dir    *pidfiles.Dir
	master *pidfiles.Master
}

// openRegistry opens the directory of a pattern that was asked for, where
// trouble is an error, or else the first default that will do, where trouble
// is a warning.
func openRegistry(cfg *Config, processes proc.FS, warnf func(line)) (registry, error) {
	options := pidfiles.Options{Sys: pidfiles.Sys{Proc: processes}}
	if setting, explicit := cfg.explicitPIDFile(); explicit {
		return openExplicit(setting, options)
	}
	dir, err := pidfiles.OpenFirst(pidfiles.DefaultDirs(os.Getuid(), os.Getenv, pidfiles.MountNamespace), cfg.program.pidFile(), options)
	daemon := cfg.program.detached != nil // it is found by its files, and there is one of it
	if err != nil && daemon {
		return registry{}, err
	}
	if err != nil {
		warnf(warnLine("no PID files are written and no process can register; set --pidfile to a directory that can be written", slog.String("error", err.Error())))
		return registry{}, nil
	}
	master, err := dir.LockMaster(os.Getpid())
	if err != nil && daemon {
		return registry{}, errors.Join(err, dir.Close())
	}
	if errors.Is(err, pidfiles.ErrMasterAlive) {
		dir, master, err = openBeside(cfg.program, dir, options, warnf)
	}
	if err != nil {
		warnf(warnLine("no PID files are written and no process can register", slog.String("error", err.Error())))
		return registry{}, nil
	}
	return registry{dir, master}, nil
}

func openExplicit(setting string, options pidfiles.Options) (registry, error) {
	pattern, err := pidfiles.Parse(setting)
	if err != nil {
		return registry{}, err
	}
	dir, err := pidfiles.Open(pattern, options)
	if err != nil {
		return registry{}, err
	}
	master, err := dir.LockMaster(os.Getpid())
	if err != nil {
		return registry{}, errors.Join(err, dir.Close())
	}
	return registry{dir, master}, nil
}

// openBeside takes a name of this brood's own in a directory whose default
// name belongs to another one that lives.
func openBeside(p Program, taken *pidfiles.Dir, options pidfiles.Options, warnf func(line)) (*pidfiles.Dir, *pidfiles.Master, error) {
	name := p.name() + "-" + strconv.Itoa(os.Getpid()) + ".pid"
	setting := filepath.Join(taken.Pattern().Dir(), name)
	if err := taken.Close(); err != nil {
		return nil, nil, err
	}
	warnf(warnLine("another brood uses the default PID files, using a name of its own; set --pidfile to choose one", slog.String("pidfile", setting)))
	r, err := openExplicit(setting, options)
	return r.dir, r.master, err
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
