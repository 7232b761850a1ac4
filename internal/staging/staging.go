// Package staging starts a worker through package stage: brood is executed
// once more, sets the worker's attributes in its own process and becomes the
// service. A worker without attributes is started directly, which costs less.
//
// Between the two goes a connected pair of sockets: the order to the stage, and
// back nothing if the service runs, or why it does not.
//
// The worker gets the signal mask and the ignored signals of brood's start as
// far as Go lets them be known, like a worker that is started directly. Before
// any code of ours the runtime replaces each SIG_IGN but those of SIGHUP, SIGINT
// and the job-control signals, and unblocks SIGHUP, SIGINT, SIGQUIT, SIGTERM,
// SIGCHLD, SIGPROF, SIGURG and the fatal ones (runtime.blockableSig). execve
// resets to the default what has a handler.
package staging

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/stage"
)

// Attributes of a worker. The zero value changes nothing and needs no stage.
type Attributes struct {
	User       *User
	NoNewPrivs bool
	Limits     []Limit // a resource that is named twice gets the last one
	CPUs       []int   // empty: brood's own
	// Files are descriptors of brood that the worker gets as 3, 4 and so on,
	// with LISTEN_PID set to its PID. Whatever brood was born with there is
	// closed in the worker.
	Files []int
}

// Empty reports whether a worker can do without the stage.
func (a *Attributes) Empty() bool {
	return a.User == nil && !a.NoNewPrivs && len(a.Limits)+len(a.CPUs)+len(a.Files) == 0
}

// Command is what the worker executes, with a path as in execve(2).
type Command struct {
	Path      string
	Args, Env []string
	Attributes
}

// Stage prepares starts. It is safe for concurrent use.
type Stage struct {
	self    executable
	parent  int
	ignored uint64
}

// New opens brood's own executable, so that the worker of tomorrow is started
// by the brood of today. proc is where /proc is mounted; without one the path
// that brood was started by must still lead to it. Call it before the working
// directory changes.
func New(proc string) (*Stage, error) {
	self, err := openSelf(proc)
	if err != nil {
		return nil, err
	}
	return &Stage{self: self, parent: os.Getpid(), ignored: ignoredSignals()}, nil
}

// Close releases the executable. Launches that were prepared before must have
// been started.
func (s *Stage) Close() { s.self.close() }

// Launch is one start, prepared. Its fields say how to start the stage:
//
//	spec.Name = path // of the service, for errors
//	spec.Path, spec.Args, spec.Env = l.Path, l.Args, l.Env
//	spec.Inherit, spec.Confirm = l.Inherit, l.Confirm
type Launch struct {
	Path      string
	Args, Env []string
	// Inherit are the descriptors that the stage must get under the same
	// numbers: the connection and the Files.
	Inherit []int

	command     Command
	ours, stage int // the ends of the connection; -1 is closed
	order       []byte
}

// Prepare makes what one start needs. Close it when the start is over, whether
// or not it has succeeded; the Files must stay open until then.
func (s *Stage) Prepare(c Command) (*Launch, error) {
	if hasNUL(c) {
		// As ForkExec has it.
		return nil, &Error{Path: c.Path, Err: unix.EINVAL}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot start %q: cannot make a socket for its stage: %w", c.Path, err)
	}
	config := stage.Config{Path: c.Path, Args: c.Args, Env: c.Env, Attributes: s.attributes(&c.Attributes)}
	if len(c.Files) > 0 {
		// Of two entries with one name a C library takes the first.
		config.Env = slices.DeleteFunc(slices.Clone(c.Env), func(e string) bool { return strings.HasPrefix(e, "LISTEN_PID=") })
	}
	return &Launch{
		Path:    s.self.path,
		Args:    []string{c.Path}, // what ps shows for a millisecond
		Env:     stage.Environment(pair[1], s.parent),
		Inherit: append([]int{pair[1]}, c.Files...),
		command: c,
		ours:    pair[0],
		stage:   pair[1],
		order:   config.Encode(),
	}, nil
}

func (s *Stage) attributes(a *Attributes) stage.Attributes {
	out := stage.Attributes{
		Files:      a.Files,
		CPUs:       cpuMask(a.CPUs),
		Ignored:    s.ignored,
		NoNewPrivs: a.NoNewPrivs,
	}
	for _, l := range a.Limits {
		out.Limits = append(out.Limits, stage.Limit{Resource: l.resource, Soft: l.Soft, Hard: l.Hard})
	}
	if a.User != nil {
		out.User = &stage.User{UID: a.User.UID, GID: a.User.GID, Groups: a.User.Groups}
	}
	return out
}

// Close releases the connection.
func (l *Launch) Close() {
	closeOnce(&l.ours)
	closeOnce(&l.stage)
}

// Confirm tells the stage, which must be running, what to do, and returns nil
// when the service is executed. Otherwise the process is ending. The error is
// an *Error where the stage could say what went wrong. Confirm waits for as long
// as the kernel takes to execute the file.
func (l *Launch) Confirm() error {
	closeOnce(&l.stage) // the worker's must be the last one
	sent := l.send()
	answer, err := l.receive()
	switch {
	case len(answer) > 0:
		if f, ok := stage.ParseFailure(answer); ok {
			return l.command.explain(f)
		}
		return fmt.Errorf("cannot start %q: internal error: the stage answered %q", l.command.Path, answer)
	case sent != nil || err != nil:
		return fmt.Errorf("cannot start %q: %w: %w", l.command.Path, ErrNoStage, errors.Join(sent, err))
	}
	return nil
}

// ErrNoStage says that brood itself could not run between fork and exec: it was
// killed, or given no thread or memory. That may pass.
var ErrNoStage = errors.New("its stage has ended early")

func (l *Launch) send() error {
	for rest := l.order; len(rest) > 0; {
		n, err := unix.SendmsgN(l.ours, rest, nil, nil, unix.MSG_NOSIGNAL)
		if err != nil && err != unix.EINTR {
			return err
		}
		rest = rest[max(n, 0):]
	}
	l.order = nil
	return nil
}

// receive reads to the end, which is the exec. ECONNRESET is the end of a
// process that has not read its order.
func (l *Launch) receive() ([]byte, error) {
	var buf [2 * stage.FailureSize]byte
	have := 0
	for {
		n, err := unix.Read(l.ours, buf[have:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return buf[:have], err
		case n <= 0:
			return buf[:have], nil
		default:
			have += n
		}
	}
}

func hasNUL(c Command) bool {
	has := func(s string) bool { return strings.IndexByte(s, 0) >= 0 }
	return has(c.Path) || slices.ContainsFunc(c.Args, has) || slices.ContainsFunc(c.Env, has)
}

func closeOnce(fd *int) {
	if *fd >= 0 {
		_ = unix.Close(*fd)
		*fd = -1
	}
}
