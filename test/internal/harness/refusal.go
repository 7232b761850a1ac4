package harness

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Refusal decides, while a program runs, whether the kernel starts processes for
// it and its children. At first it does. Threads are always made.
type Refusal struct {
	t      testing.TB
	theirs *os.File // the program's end of a socket, over which the filter comes
	ours   *os.File
	over   chan struct{}

	mu      sync.Mutex
	answers map[int]unix.Errno // by system call
	refused int
}

// NewRefusal makes one for the run of which it is Options.Refusal.
func NewRefusal(t testing.TB) *Refusal {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &Refusal{
		t: t, over: make(chan struct{}), answers: map[int]unix.Errno{},
		ours: os.NewFile(uintptr(pair[0]), "filter"), theirs: os.NewFile(uintptr(pair[1]), "filter"),
	}
}

// Refuse lets a system call fail from now on: unix.SYS_CLONE, which makes
// processes, or unix.SYS_EXECVE.
func (r *Refusal) Refuse(call int, with unix.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[call] = with
}

// Allow lets all succeed again.
func (r *Refusal) Allow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.answers)
}

// Refused is how often a call has failed.
func (r *Refusal) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// The structures of linux/seccomp.h.
type (
	seccompNotif struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	seccompAnswer struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}
)

// serve answers until all that have the filter have ended.
func (r *Refusal) serve() {
	defer close(r.over)
	defer r.ours.Close()
	_ = r.theirs.Close() // the program has its own
	filter, err := r.receive()
	if err != nil {
		r.t.Errorf("nothing can be refused: %v", err)
		return
	}
	defer unix.Close(filter) //nolint:errcheck // nobody is left to tell
	for {
		fds := []unix.PollFd{{Fd: int32(filter), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			r.t.Errorf("waiting for what to refuse: %v", err)
			return
		}
		if fds[0].Revents&unix.POLLIN != 0 {
			r.answer(filter)
		} else if fds[0].Revents&unix.POLLHUP != 0 {
			return
		}
	}
}

func (r *Refusal) receive() (filter int, err error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(r.ours.Fd()), make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return 0, errors.Join(err, errors.New("no filter has come"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

func (r *Refusal) answer(filter int) {
	var asked seccompNotif
	if ioctl(filter, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&asked)) != 0 {
		return // it was killed
	}
	answer := seccompAnswer{id: asked.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	r.mu.Lock()
	defer r.mu.Unlock()
	if errno := r.answers[int(asked.nr)]; errno != 0 {
		answer.flags, answer.error = 0, -int32(errno)
		r.refused++
	}
	_ = ioctl(filter, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer)) // it was killed
}

func ioctl(fd int, request uintptr, what unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(what))
	return errno
}

// installRefusal makes the filter in the process that becomes the program, and
// sends it over a socket.
func installRefusal(socket int) error {
	const load, equal, set, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const number, firstArgument = 0, 16 // in struct seccomp_data; of the argument the lower half
	filter := []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_EXECVE, Jt: 3},
		{Code: equal, K: unix.SYS_CLONE, Jf: 3},
		{Code: load, K: firstArgument},
		{Code: set, K: unix.CLONE_THREAD, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(int(fd)), nil, 0)
	_ = unix.Close(int(fd)) // the program must not answer itself
	_ = unix.Close(socket)
	return err
}
