package stage

import (
	"syscall"
	"unsafe"
)

const (
	prSetNoNewPrivs = 38 // prctl(2); package syscall lacks it
	firstFile       = 3  // LISTEN_FDS counts from here, sd_listen_fds(3)
)

// perform does what is ordered and executes the service. It returns only when
// one of it has failed. connection is moved if a file needs its number.
//
// The order matters. Files are placed while their numbers are allowed, limits
// raised while there is privilege for it, and the parent-death signal, which
// the kernel clears on a change of credentials, is set after the last one
// (prctl(2), PR_SET_PDEATHSIG).
func (o *order) perform(connection *int, parent int) Failure {
	if f := o.placeFiles(connection); f.Step != 0 {
		return f
	}
	if len(o.Files) > 0 {
		o.envv = append(o.envv[:len(o.envv)-1], listenPID(), nil)
	}
	attributes := [...]func() Failure{
		o.setLimits,
		o.setAffinity,
		o.ignoreSignals,
		o.becomeUser,
		o.forbidNewPrivileges,
		func() Failure { return followToDeath(parent) },
		o.exec,
	}
	restoreOpenFiles()
	for _, set := range attributes {
		if f := set(); f.Step != 0 {
			return f
		}
	}
	return Failure{} // not reached: exec returns a Failure or not at all
}

// listenPID is the variable by which sd_listen_fds(3) knows that the files are
// its process's own.
func listenPID() *byte {
	return unsafe.StringData("LISTEN_PID=" + itoa(syscall.Getpid()) + "\x00")
}

// restoreOpenFiles undoes what package syscall does at its start, as ForkExec
// does for a child: it raises RLIMIT_NOFILE and keeps the original to itself.
// Exec sets it back before it tries; there is no file of no name.
func restoreOpenFiles() { _ = syscall.Exec("", []string{""}, nil) }

// placeFiles moves all files out of the way first, since one may stand where
// another belongs.
func (o *order) placeFiles(connection *int) Failure {
	free := uintptr(firstFile + len(o.Files))
	if len(o.Files) > 0 && *connection < int(free) {
		moved, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(*connection), syscall.F_DUPFD_CLOEXEC, free)
		if errno != 0 {
			return Failure{StepFiles, uint64(*connection), errno}
		}
		*connection = int(moved)
	}
	for i, fd := range o.Files {
		moved, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, free)
		if errno != 0 {
			return Failure{StepFiles, uint64(fd), errno}
		}
		setCloseOnExec(fd)
		o.Files[i] = int(moved)
	}
	for i, fd := range o.Files {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_DUP3, uintptr(fd), uintptr(firstFile+i), 0); errno != 0 {
			return Failure{StepFiles, uint64(fd), errno}
		}
	}
	return Failure{}
}

func (o *order) setLimits() Failure {
	for _, l := range o.Limits {
		both := [2]uint64{l.Soft, l.Hard}
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(l.Resource), uintptr(unsafe.Pointer(&both)), 0, 0, 0); errno != 0 {
			return Failure{StepLimit, uint64(l.Resource), errno}
		}
	}
	return Failure{}
}

func (o *order) setAffinity() Failure {
	if len(o.CPUs) == 0 {
		return Failure{}
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, uintptr(len(o.CPUs)*8), uintptr(unsafe.Pointer(&o.CPUs[0])))
	return failed(StepAffinity, 0, errno)
}

// kernelSigaction is struct kernel_sigaction of amd64 and arm64.
type kernelSigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

func (o *order) ignoreSignals() Failure {
	const sigIgn = 1
	for sig := range uintptr(64) {
		if o.Ignored>>sig&1 == 0 {
			continue
		}
		action := kernelSigaction{handler: sigIgn}
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig+1, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
			return Failure{StepSignal, uint64(sig + 1), errno}
		}
	}
	return Failure{}
}

// becomeUser sets all three IDs of each kind: setuid(2) alone sets one of them
// when the caller lacks the capability, and the way back would stay open.
func (o *order) becomeUser() Failure {
	if o.User == nil {
		return Failure{}
	}
	groups := unsafe.Pointer(unsafe.SliceData(o.User.Groups))
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(o.User.Groups)), uintptr(groups), 0); errno != 0 {
		return Failure{StepGroups, 0, errno}
	}
	gid := uintptr(o.User.GID)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return Failure{StepGID, uint64(gid), errno}
	}
	uid := uintptr(o.User.UID)
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid)
	return failed(StepUID, uint64(uid), errno)
}

func (o *order) forbidNewPrivileges() Failure {
	if !o.NoNewPrivs {
		return Failure{}
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0)
	return failed(StepNoNewPrivs, 0, errno)
}

// followToDeath makes the kernel kill this process when brood ends, and looks
// whether it has ended before that.
func followToDeath(parent int) Failure {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0, 0); errno != 0 {
		return Failure{StepDeathSignal, 0, errno}
	}
	if ppid, _, _ := syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0); int(ppid) != parent {
		exit(exitRefused)
	}
	return Failure{}
}

func (o *order) exec() Failure {
	_, _, errno := syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(o.path)),
		uintptr(unsafe.Pointer(&o.argv[0])), uintptr(unsafe.Pointer(&o.envv[0])))
	return Failure{StepExec, 0, errno}
}

// failed is the Failure that errno stands for, none if that is 0.
func failed(step Step, detail uint64, errno syscall.Errno) Failure {
	if errno == 0 {
		return Failure{}
	}
	return Failure{step, detail, errno}
}
