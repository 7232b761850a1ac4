package reaper

import (
	"cmp"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec says what to start. Every process leads its own process group and gets
// SIGKILL when brood dies.
type Spec struct {
	// Path is the file to execute, with a slash in it: nothing is looked up.
	Path string
	Name string   // what an error calls it; "" is Path
	Args []string // argv, Args[0] included
	Env  []string
	Dir  string // "" is brood's own working directory
	// Stdin, Stdout and Stderr are descriptors of brood. All others that are
	// not close-on-exec, those brood was born with, pass through untouched.
	Stdin, Stdout, Stderr int
	// Inherit are further descriptors that the process gets under the numbers
	// they have in brood, although they are close-on-exec there. They must stay
	// open until Start returns.
	Inherit []int
	// Foreground makes the new group the foreground of the terminal on Stdin.
	Foreground bool

	// Family is what orphans are counted under that descend from the process, as
	// far as that can be known; 0 is nobody.
	Family int

	// Confirm, if set, is called by Start once Path is executed,
	// for a process that has more to do before it is what was asked for. Its
	// error is returned by Start; the process is killed and reaped, no orphan is
	// counted, and neither Started nor Exited is called. Confirm may wait: that
	// delays other starts, but no exit of others.
	Confirm func() error
	// Started is called by Start with the new process, before any call of
	// Exited. It delays other starts, but no exit of others.
	Started func(p *Process, at time.Time)
	// Exited is called once, from the goroutine of Run (or by Start if the
	// process ended before Started had returned). It must not block for long.
	Exited func(Exit)
	// Stopped, if set, is called from the goroutine of Run when a job-control
	// signal has stopped the process: TSTP, TTIN, TTOU or STOP.
	Stopped func(by syscall.Signal)
}

// StartingThread runs loop on a thread of its own, which ends with it. All calls
// of Start belong into one such loop: nothing has to be handed over between two
// starts. When it returns, the parent-death signal of every child fires: let it
// return only when brood is leaving or no child is left. No signal is delivered
// to this thread, so that loop may hang in a system call. It is not the first
// thread, whose children orphans become.
func StartingThread(loop func()) {
	begin := func(locked chan<- struct{}) {
		runtime.LockOSThread() // never unlocked
		close(locked)
		deafen()
		loop()
	}
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			begin(make(chan struct{}))
			return
		}
		locked := make(chan struct{})
		go begin(locked) // on another, since this one is taken until then
		<-locked
		runtime.UnlockOSThread()
	}()
}

// Start starts a process and returns when it is running or could not be: then
// neither Started nor Exited is called. The error wraps the system's
// errno: ENOENT, EACCES, ENOEXEC, EAGAIN from fork, and so on. Start blocks
// for as long as the kernel takes to execute the file. Call it from the loop of
// StartingThread.
//
// Until then no garbage can be collected: the runtime cannot stop a thread that
// waits in vfork, and what allocates while a collection is due waits with it. So
// none begins meanwhile (package worldstop). A file that may come slowly is read
// before (package preread), and if it does, executed by a stage, which Confirm
// waits for.
func (r *Reaper) Start(spec Spec) error {
	at := time.Now()
	r.mu.Lock()
	r.starting = starting{thread: unix.Gettid(), since: at}
	r.mu.Unlock()

	pid, err := forkExec(&spec, &r.mask)

	r.mu.Lock()
	r.starting = starting{}
	var p *Process
	if err == nil {
		p = &Process{reaper: r, pid: pid, family: spec.Family, exited: spec.Exited, stopped: spec.Stopped}
		r.children[pid] = p
	}
	postponed := r.postponed
	r.postponed = false
	r.mu.Unlock()
	if postponed {
		r.late.Stop()
		r.kick()
	}
	if err != nil {
		return fmt.Errorf("cannot start %q: %w", cmp.Or(spec.Name, spec.Path), err)
	}
	if spec.Confirm != nil {
		if err := spec.Confirm(); err != nil {
			p.disown()
			return err
		}
	}
	if spec.Started != nil {
		spec.Started(p, at)
	}
	p.announce()
	return nil
}

func forkExec(spec *Spec, mask *unix.Sigset_t) (pid int, err error) {
	// Only this thread forks, so that no other child gets what is passed here.
	for i, fd := range spec.Inherit {
		if err := setCloseOnExec(fd, false); err != nil {
			setAllCloseOnExec(spec.Inherit[:i])
			return 0, fmt.Errorf("cannot pass descriptor %d: %w", fd, err)
		}
	}
	defer setAllCloseOnExec(spec.Inherit)
	stdin, err := clearOfOthers(spec)
	if err != nil {
		return 0, fmt.Errorf("cannot pass descriptors: %w", err)
	}
	if stdin != spec.Stdin {
		defer func() { _ = syscall.Close(stdin) }()
	}
	withMask(mask, func() {
		pid, err = syscall.ForkExec(spec.Path, spec.Args, &syscall.ProcAttr{
			Dir:   spec.Dir,
			Env:   spec.Env,
			Files: []uintptr{uintptr(stdin), uintptr(spec.Stdout), uintptr(spec.Stderr)},
			Sys: &syscall.SysProcAttr{
				Setpgid:    true,
				Foreground: spec.Foreground,
				Ctty:       spec.Stdin,
				Pdeathsig:  syscall.SIGKILL,
			},
		})
	})
	return pid, err
}

// scratch is how many numbers syscall.ForkExec may use up in the child, from one
// above the highest of its Files on: for its pipe and the three of them.
const scratch = 4

// clearOfOthers returns stdin under a number that keeps ForkExec from moving its
// pipe onto a descriptor that the process is to have. It knows of none but its
// Files, and takes what is above them for free (forkAndExecInChild, pass 1).
func clearOfOthers(spec *Spec) (stdin int, err error) {
	stdin = spec.Stdin
	for {
		next := max(3, stdin, spec.Stdout, spec.Stderr) + 1 // 3 is the number of Files
		taken := next
		for fd := next; fd < next+scratch; fd++ {
			if passes(fd) {
				taken = fd + 1
			}
		}
		if taken == next {
			return stdin, nil
		}
		higher, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(spec.Stdin), syscall.F_DUPFD_CLOEXEC, uintptr(taken))
		if stdin != spec.Stdin {
			_ = syscall.Close(stdin)
		}
		if errno == syscall.EINVAL {
			errno = syscall.EMFILE // no number as high is allowed: fcntl(2)
		}
		if errno != 0 {
			return spec.Stdin, errno
		}
		stdin = int(higher)
	}
}

// passes reports whether a descriptor is open and stays so over an exec.
func passes(fd int) bool {
	flags, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno == 0 && flags&syscall.FD_CLOEXEC == 0
}

func setAllCloseOnExec(fds []int) {
	for _, fd := range fds {
		_ = setCloseOnExec(fd, true) // it is open, or could not have been passed
	}
}

func setCloseOnExec(fd int, is bool) error {
	flags := uintptr(0)
	if is {
		flags = syscall.FD_CLOEXEC
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, flags)
	if errno != 0 {
		return errno
	}
	return nil
}

func (r *Reaper) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
