package entrypoint

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/pidfiles"
)

// finder are the flags by which a verb finds the brood to ask.
type finder struct {
	caller
	rows   []bound
	config *Config
}

// newFinder gives a verb --pidfile and --control, which read the same
// variables as brood itself.
func newFinder(verb *cobra.Command, from caller) *finder {
	f := &finder{caller: from, config: newConfig(from.Program)}
	for _, row := range f.config.rows {
		if row.name == "pidfile" || row.name == "control" {
			f.rows = append(f.rows, row)
		}
	}
	for _, row := range f.rows {
		verb.Flags().Var(row.field, row.name, row.help)
	}
	return f
}

// client returns a client of the brood that the flags, the variables or the
// default directories lead to. In a worker the variables lead to its own.
func (f *finder) client() (*control.Client, error) {
	if err := f.config.takeDefaults(); err != nil {
		return nil, err
	}
	if err := readEnvironment(&f.config.settings, f.rows, survey(f.environ, f.rows)); err != nil {
		return nil, err
	}
	pattern := ""
	if f.config.Pidfile.Source != SourceDefault {
		pattern = ownPattern(f.config.Pidfile.Value.String())
	}
	if path, _ := f.config.controlPath(pattern); path != "" {
		await(func() bool { return listens(path) }, func() bool { return pattern != "" && hasMaster(pattern) })
		return control.NewClient(path), nil
	}
	if f.config.Control.Value == nowhere {
		return nil, &UsageError{Setting: f.config.name(&f.config.Control), Value: none, Remedy: "name the socket of the brood to ask"}
	}
	return f.search()
}

// search looks for the sockets of broods in the default directories.
func (f *finder) search() (*control.Client, error) {
	dirs := pidfiles.DefaultDirs(os.Geteuid(), os.Getenv, pidfiles.MountNamespace)
	var found []string
	await(
		func() bool { found = f.sockets(dirs); return len(found) > 0 },
		func() bool {
			return slices.ContainsFunc(dirs, func(dir string) bool { return hasMaster(filepath.Join(dir, f.pidFile())) })
		},
	)
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("cannot find a running %s in %s: name its PID files by --pidfile or its socket by --control", f.name(), strings.Join(dirs, ", "))
	case 1:
		return control.NewClient(found[0]), nil
	}
	return nil, fmt.Errorf("cannot choose one of several that run: name its socket by --control, or its PID files by --pidfile: %s", strings.Join(found, " "))
}

// sockets are those in dirs, and for root in other users' as well, that somebody
// listens on.
func (f *finder) sockets(dirs []string) (found []string) {
	for _, dir := range dirs {
		if os.Geteuid() == 0 {
			dir = ofAnyUser(dir)
		}
		for _, name := range []string{".sock", "-[0-9]*.sock"} {
			if sockets, err := filepath.Glob(filepath.Join(dir, f.name()+name)); err == nil {
				found = append(found, sockets...)
			}
		}
	}
	return slices.DeleteFunc(found, func(path string) bool { return !listens(path) })
}

// ofAnyUser is a pattern for what a default directory is called for other users:
// root may ask their broods too.
func ofAnyUser(dir string) string { return strings.Replace(dir, "/brood-0", "/brood-*", 1) }

// listens reports whether anybody has the socket open. Whether he answers is
// what the verb will find out, in its own time.
func listens(path string) bool {
	conn, err := net.DialTimeout("unix", path, askTimeout)
	if err != nil {
		return errors.Is(err, unix.EAGAIN) // somebody does, and has too much to do
	}
	_ = conn.Close()
	return true
}

// beginningMost is how long a verb waits for the socket of a brood that has just
// begun: it listens once the first workers have been started.
const beginningMost = time.Second

// await looks again until it is there, as long as somebody is about to make it
// and beginningMost has not passed.
func await(there, expected func() bool) {
	for began := time.Now(); !there() && expected() && time.Since(began) < beginningMost; {
		<-time.After(5 * time.Millisecond)
	}
}

// hasMaster reports whether a living brood has these PID files.
func hasMaster(setting string) bool {
	pattern, err := pidfiles.Parse(setting)
	if err != nil {
		return false
	}
	dir, err := pidfiles.Open(pattern, pidfiles.Options{Existing: true, Sys: pidfiles.Sys{Proc: proc.FS("").Ours()}})
	if err != nil {
		return false
	}
	defer dir.Close()
	master, _ := dir.FindMaster() // a file that is no good is nobody's
	if master == nil {
		return false
	}
	_ = master.Close()
	return true
}
