package entrypoint

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/multiproc"
)

// multiprocVariable is where the clients for Python and Ruby are told the
// directory that the janitor cleans.
const multiprocVariable = "PROMETHEUS_MULTIPROC_DIR"

// janitor cleans up after processes that keep metrics in a directory. Both may
// hang on a disk, so the engine only leaves a note of who has died.
type janitor struct {
	dir  multiproc.Dir
	log  *logSink
	dead chan death
}

type death struct {
	pid int
	at  time.Time
}

// mostDeaths is how many deaths may wait for the janitor. What is beyond stays
// on the workers' page until the next start.
const mostDeaths = 1024

// newJanitor returns nil if nothing is to be cleaned. It is called where brood
// was started, since the directory may be relative to that.
func newJanitor(cfg *Config, log *logSink) (*janitor, error) {
	if !cfg.MultiprocDirCleanup.Value {
		return nil, nil
	}
	wrong := func(remedy string) error {
		return &UsageError{Setting: cfg.name(&cfg.MultiprocDirCleanup), Remedy: remedy}
	}
	path, same := cfg.multiprocDir()
	switch {
	case path == "":
		return nil, wrong("it cleans the directory in " + multiprocVariable + ", and workers have no such variable: set it")
	case !same:
		return nil, wrong(multiprocVariable + " has {slot} or {index} in it: give the workers one directory, or leave the switch out")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, wrong(err.Error())
	}
	j := &janitor{
		dir: multiproc.Dir{Path: path, Owners: []uint32{uint32(os.Geteuid())}}, log: log,
		dead: make(chan death, mostDeaths),
	}
	if user := cfg.User.Value; user != nil {
		j.dir.Owners = append(j.dir.Owners, user.UID)
	}
	removed, err := j.dir.Wipe()
	if err != nil {
		return nil, wrong(err.Error())
	}
	if removed > 0 {
		log.write(infoLine("files of metrics from before are removed", slog.String("dir", path), slog.Int("files", removed)))
	}
	return j, nil
}

// multiprocDir is the directory as workers are told it, and whether all are told
// the same.
func (c *Config) multiprocDir() (path string, same bool) {
	for _, v := range c.Env.Value {
		if v.Key == multiprocVariable {
			path, same = v.Value.Expand(expand.Values{Slot: 1, Count: 1}), !v.Value.UsesIdentity()
		}
	}
	if path != "" {
		return path, same
	}
	for _, entry := range c.WorkerEnviron {
		if value, ok := strings.CutPrefix(entry, multiprocVariable+"="); ok {
			path = value
		}
	}
	return path, true
}

// observe is a fanout.Observer.
func (j *janitor) observe(at time.Time, ev fanout.Event) {
	if exited, ok := ev.(fanout.WorkerExited); ok {
		select {
		case j.dead <- death{exited.PID, at}:
		default: // it hangs
		}
	}
}

// serve buries the dead until stop is closed.
func (j *janitor) serve(stop <-chan struct{}) error {
	told := errors.New("")
	for {
		select {
		case d := <-j.dead:
			if err := j.dir.Bury(d.pid, d.at); err != nil && err.Error() != told.Error() {
				told = err
				j.log.write(warnLine("a dead worker's gauges stay on the page", slog.String("error", err.Error())))
			}
		case <-stop:
			return nil
		}
	}
}
