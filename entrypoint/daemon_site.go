package entrypoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/pidfiles"
)

// site is where one service may be listed. The lock on own is that on all of it.
type site struct {
	own    *pidfiles.Dir // has the master's file
	listed []*pidfiles.Dir
}

func (s site) close() {
	for _, dir := range s.listed {
		_ = dir.Close()
	}
}

// empty reports that nothing runs and nothing is left.
func (s site) empty() bool {
	for _, dir := range s.listed {
		if !dir.Empty() {
			return false
		}
	}
	return true
}

// sites opens those in which this service may be listed: that of the PID files
// that were asked for, or those of the default directories that exist. The
// caller closes them.
func (d *daemon) sites() ([]site, error) {
	options := pidfiles.Options{Existing: true, Sys: pidfiles.Sys{Proc: proc.FS("").Ours()}}
	theirs := options
	theirs.OwnerUID = d.cfg.workersOwner()
	if setting, explicit := d.cfg.explicitPIDFile(); explicit {
		pattern, err := pidfiles.Parse(setting)
		if err != nil {
			return nil, err
		}
		patterns := []pidfiles.Pattern{pattern}
		if own := filepath.Dir(ownPattern(pattern.String())); own != pattern.Dir() {
			patterns = []pidfiles.Pattern{pattern.In(own), pattern}
		}
		found, err := openAll(patterns, theirs)
		if len(found) == 0 || err != nil {
			return nil, err
		}
		return []site{{found[0], found}}, nil
	}
	var all []site
	for _, path := range pidfiles.DefaultDirs(os.Getuid(), os.Getenv, pidfiles.MountNamespace) {
		own, err := pidfiles.OpenFirst([]string{path}, d.cfg.program.pidFile(), options)
		if err != nil {
			continue
		}
		s := site{own, []*pidfiles.Dir{own}}
		if theirs.OwnerUID != 0 {
			p := own.Pattern()
			if more, err := openAll([]pidfiles.Pattern{p.In(filepath.Join(p.Dir(), strconv.Itoa(theirs.OwnerUID)))}, theirs); err == nil {
				s.listed = append(s.listed, more...)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// openAll opens those directories that exist, or none and says why.
func openAll(patterns []pidfiles.Pattern, options pidfiles.Options) ([]*pidfiles.Dir, error) {
	var found []*pidfiles.Dir
	for _, p := range patterns {
		dir, err := pidfiles.Open(p, options)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			for _, dir := range found {
				err = errors.Join(err, dir.Close())
			}
			return nil, err
		default:
			found = append(found, dir)
		}
	}
	return found, nil
}
