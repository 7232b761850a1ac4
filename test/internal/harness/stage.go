package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// exitStage is the code of a stage that could not do what it was told.
const exitStage = 99

// stageArguments are what runStage understands: what to do, as JSON, and then
// the program to become. An environment variable would reach the workers.
func stageArguments(o Options, argv ...string) []string {
	text, err := json.Marshal(o.Stage)
	if err != nil {
		panic(err)
	}
	return append([]string{string(text)}, argv...)
}

// Stage is what is done between the fork and the exec of brood.
type Stage struct {
	MountProc  bool             // a /proc of the new PID namespace
	KeepProc   bool             // the /proc of the namespace outside
	HideProc   bool             // no readable /proc at all
	HideNull   bool             // no /dev/null
	ReadOnly   bool             // all file systems read-only
	Ignore     []syscall.Signal // ignored, as by nohup
	Block      []syscall.Signal // blocked, as by a careless parent
	Close      []int            // descriptors to close
	Umask      int              // -1 for as it is
	Nice       int
	NoFile     uint64 // limit on descriptors, 0 for as it is
	HidePID    bool   // a /proc that shows everybody only his own processes
	User       int    // not root, if not 0
	NoProc     uint64 // limit on the user's processes, 0 for as it is
	Deny       []int  // system calls that this kernel is not to have
	Refusal    int    // descriptor of a Refusal's socket, 0 for none
	Background bool   // lead a process group of its own
	Group      string // directory of a control group to be in
	Keep       int    // descriptors that brood is born with, 3 by default
}

// runStage does what it is told and becomes the program. It returns only if
// that fails.
func runStage(args []string) error {
	// The nice value and the mask are a thread's, and an exec keeps those of the
	// thread that calls it.
	runtime.LockOSThread()
	var s Stage
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return err
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	if s.Group != "" {
		if err := os.WriteFile(filepath.Join(s.Group, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("control group: %w", err)
		}
	}
	if err := s.mounts(); err != nil {
		return err
	}
	if s.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, s.Nice); err != nil {
			return fmt.Errorf("setpriority: %w", err)
		}
	}
	if s.Umask >= 0 {
		unix.Umask(s.Umask)
	}
	if s.Background {
		if err := unix.Setpgid(0, 0); err != nil {
			return fmt.Errorf("setpgid: %w", err)
		}
	}
	if n := s.NoFile; n != 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: max(n, 4096)}); err != nil {
			return fmt.Errorf("setrlimit: %w", err)
		}
	}
	if n := s.NoProc; n != 0 {
		if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("setrlimit: %w", err)
		}
	}
	if err := s.becomeUser(); err != nil {
		return err
	}
	for _, sig := range s.Ignore {
		signal.Ignore(sig)
	}
	var mask unix.Sigset_t
	for _, sig := range s.Block {
		mask.Val[(sig-1)/64] |= 1 << ((uint(sig) - 1) % 64)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil); err != nil {
		return err
	}
	// What the tests themselves were born with is not the subject.
	if err := unix.CloseRange(uint(max(3, s.Keep)), 1<<31, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	argv := slices.Clone(args[1:])
	for _, fd := range s.Close {
		_ = unix.Close(fd)
	}
	if err := s.deny(); err != nil {
		return err
	}
	if s.Refusal != 0 {
		if err := installRefusal(s.Refusal); err != nil {
			return fmt.Errorf("refusal: %w", err)
		}
	}
	return fmt.Errorf("exec: %w", syscall.Exec(path, argv, os.Environ()))
}

// mounts changes the mount namespace, which is our own.
func (s Stage) mounts() error {
	if !s.MountProc && !s.HideProc && !s.HideNull && !s.ReadOnly {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount private: %w", err)
	}
	if s.MountProc {
		options := ""
		if s.HidePID {
			options = "hidepid=2"
		}
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
			return fmt.Errorf("mount /proc: %w", err)
		}
	}
	if s.HideProc {
		if err := unix.Mount("none", "/proc", "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("hide /proc: %w", err)
		}
	}
	if s.HideNull {
		if err := unix.Mount("none", "/dev", "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("hide /dev: %w", err)
		}
	}
	if s.ReadOnly {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &attr); err != nil {
			return fmt.Errorf("mount read-only: %w", err)
		}
	}
	return nil
}

func (s Stage) becomeUser() error {
	if s.User == 0 {
		return nil
	}
	if err := unix.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := unix.Setresgid(s.User, s.User, s.User); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := unix.Setresuid(s.User, s.User, s.User); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	return nil
}

// deny makes system calls fail as an older kernel would, or a sandbox.
func (s Stage) deny() error {
	if len(s.Deny) == 0 {
		return nil
	}
	const number, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{{Code: number, K: 0}}
	for _, nr := range s.Deny {
		filter = append(filter, unix.SockFilter{Code: equal, Jf: 1, K: uint32(nr)},
			unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	filter = append(filter, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}
