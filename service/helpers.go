package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/internal/sockets"
	"github.com/brood-init/brood/pidfiles"
)

// The helpers read the environment that brood gives to workers, to Prepare and
// Finish, and to whatever these start. They work in any Go program that runs
// under brood, also if the parent is the command.

// ProcessCount is how many workers are wanted: in a worker, as of its start. It
// is 1 in a program that does not run under brood.
func ProcessCount() int {
	if _, known := os.LookupEnv(fanout.EnvCount); !known {
		return 1
	}
	return number(fanout.EnvCount)
}

// PIDPath is the PID file of the process with number i, or empty when no PID
// files are written. Slots have the numbers from 1 up. 0 and the numbers above
// the slots are free for processes that want to be stopped with the service: see
// Register.
func PIDPath(i int) string {
	pattern, err := pattern()
	if err != nil {
		return ""
	}
	return pattern.Path(i)
}

var errNoPIDFiles = errors.New("this program does not run under brood, or brood found no directory for PID files")

func pattern() (pidfiles.Pattern, error) {
	setting := os.Getenv(fanout.EnvPIDFile)
	if setting == "" {
		return pidfiles.Pattern{}, errNoPIDFiles
	}
	return pidfiles.Parse(setting)
}

// Register lists a process under the number i, by its PID file: it appears in
// status and metrics, gets SIGTERM when the service stops, and SIGKILL if it has
// not ended within the grace; the service lives until it has ended. It is an
// error if another living process has the number.
//
// A process that Prepare has started and registered is reaped by the service:
// do not wait for it later than in Prepare itself.
func Register(i int, p *os.Process) error {
	err := inDir(func(d *pidfiles.Dir) error { return d.Write(i, p.Pid) })
	if err != nil {
		return fmt.Errorf("cannot register process %d: %w", p.Pid, err)
	}
	return nil
}

// Unregister takes Register(i, p) back. It is no error if the file is gone, or
// names another process by now, which stays registered then.
func Unregister(i int, p *os.Process) error {
	err := inDir(func(d *pidfiles.Dir) error { return d.Remove(i, p.Pid) })
	if err != nil {
		return fmt.Errorf("cannot unregister process %d: %w", p.Pid, err)
	}
	return nil
}

func inDir(do func(*pidfiles.Dir) error) error {
	pattern, err := pattern()
	if err != nil {
		return err
	}
	dir, err := pidfiles.Open(pattern, pidfiles.Options{Existing: true, Sys: pidfiles.Sys{Proc: proc.FS("").Ours()}})
	if err != nil {
		return err
	}
	return errors.Join(do(dir), dir.Close())
}

// Listeners are the sockets that all workers share, in the order of --listen:
// the parent has bound them, and no connection is lost when a worker is
// replaced. Each call returns the same ones, so close a listener once. There are
// none in a process that was not given any.
func Listeners() ([]net.Listener, error) {
	s, err := inherited()
	return s.listeners, err
}

// ListenerNamed is the one of Listeners that --listen NAME=... has bound.
func ListenerNamed(name string) (net.Listener, error) {
	s, err := inherited()
	if err != nil {
		return nil, err
	}
	if i := slices.Index(s.names, name); i >= 0 {
		return s.listeners[i], nil
	}
	return nil, fmt.Errorf("cannot listen: there is no shared socket called %q, ask for one by --listen %s=tcp://:8080", name, name)
}

type shared struct {
	names     []string
	listeners []net.Listener
}

// inherited opens the sockets when they are first wanted: a process is given
// its descriptors once.
var inherited = sync.OnceValues(func() (shared, error) {
	given, err := sockets.Inherited(os.Environ(), os.Getpid())
	if err != nil {
		return shared{}, fmt.Errorf("cannot take the shared sockets: %w", err)
	}
	var s shared
	for _, one := range given {
		file := os.NewFile(uintptr(one.FD), one.Name)
		l, err := net.FileListener(file)
		if err != nil {
			return shared{}, fmt.Errorf("cannot listen on the shared socket %q: %w", one.Name, err)
		}
		// The listener has a copy. A socket of which a copy stays open would go
		// on taking connections that nobody accepts.
		_ = file.Close()
		s.names, s.listeners = append(s.names, one.Name), append(s.listeners, l)
	}
	return s, nil
})
