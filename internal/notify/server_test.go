package notify_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/notify"
	"github.com/brood-init/brood/internal/proc"
)

// fatalWait is how long anything may take before a test fails; it is never slept.
const fatalWait = 30 * time.Second

const (
	helper = "BROOD_NOTIFY_TEST_HELPER" // the role
	parent = "BROOD_NOTIFY_TEST_PARENT" // of an orphan to be
)

// The test binary is also the workers.
func TestMain(m *testing.M) {
	if role := os.Getenv(helper); role != "" {
		play(role)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// play is what a helper does: it says what its argument says, and then stays
// until its stdin ends.
func play(role string) {
	address, state := os.Getenv("NOTIFY_SOCKET"), os.Args[1]
	switch role {
	case "worker": // speaks and stays
		fmt.Println(notify.Send(address, state))
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "huge":
		fmt.Println(notify.Send(address, "READY=1\nSTATUS="+strings.Repeat("x", 1<<20)))
	case "parent", "middle": // a worker, its child that ends, and the orphan that speaks
		next := map[string]string{"parent": "middle", "middle": "orphan"}[role]
		cmd := exec.Command(os.Args[0], state)
		cmd.Env = append(os.Environ(), helper+"="+next, parent+"="+strconv.Itoa(os.Getpid()))
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		if role == "parent" {
			_ = cmd.Wait()
			_, _ = io.Copy(io.Discard, os.Stdin)
		}
	case "orphan":
		for began := time.Now(); strconv.Itoa(os.Getppid()) == os.Getenv(parent) && time.Since(began) < fatalWait; {
			runtime.Gosched()
		}
		fmt.Println(notify.Send(address, state))
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// site is a server, and workers that are told apart by their process group as
// brood's are.
type site struct {
	*notify.Server
	t       *testing.T
	dir     string
	heard   chan notify.Message
	refused chan notify.Refusal
	groups  map[int]int // slot by process group
	hold    chan struct{}
}

func serve(t *testing.T, dir string) *site {
	t.Helper()
	s := &site{
		t: t, dir: dir, groups: map[int]int{}, hold: make(chan struct{}),
		heard: make(chan notify.Message, 1000), refused: make(chan notify.Refusal, 1000),
	}
	close(s.hold)
	s.Server = notify.New(notify.Options{
		Dir: dir,
		Owner: func(_, pid int) (slot, incarnation int, ok bool) {
			<-s.hold
			stat, err := proc.FS("").Stat(pid)
			slot, ok = s.groups[stat.PGRP]
			return slot, 7, ok && err == nil
		},
		Heard:   func(m notify.Message) { s.heard <- m },
		Refused: func(r notify.Refusal) { s.refused <- r },
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) open(slot int) string {
	s.t.Helper()
	address, err := s.Open(slot, -1)
	if err != nil {
		s.t.Fatal(err)
	}
	return address
}

// start starts a helper in a process group of its own; the answers to its
// Sends are read from out. It is ended with the test.
func (s *site) start(role, address, state string) (cmd *exec.Cmd, out io.Reader) {
	s.t.Helper()
	cmd = exec.Command(os.Args[0], state)
	cmd.Env = append(os.Environ(), helper+"="+role, "NOTIFY_SOCKET="+address, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err = cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return cmd, out
}

func next[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(fatalWait):
		t.Fatalf("no %T came", got)
	}
	return got
}

// asWorkers makes helpers be workers before they are looked up: the server waits
// until begin has been called.
func (s *site) asWorkers() (begin func(slots map[int]*exec.Cmd)) {
	s.hold = make(chan struct{})
	return func(slots map[int]*exec.Cmd) {
		for slot, cmd := range slots {
			s.groups[cmd.Process.Pid] = slot
		}
		close(s.hold)
	}
}

func TestASocketWhoseFileIsGoneIsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path + ".other", Net: "unixgram"})
			if err != nil {
				return err
			}
			return errors.Join(l.Close(), os.Rename(path+".other", path)) // a stale one
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, t.TempDir())
			begin := s.asWorkers()
			if err := damage(s.open(3)); err != nil {
				t.Fatal(err)
			}
			cmd, _ := s.start("worker", s.open(3), "READY=1")
			begin(map[int]*exec.Cmd{3: cmd})
			if got := next(t, s.heard); got.Slot != 3 || !got.Ready {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAWorkerAndItsDescendantsAreHeard(t *testing.T) {
	for _, role := range []string{"worker", "parent"} {
		s := serve(t, t.TempDir())
		begin := s.asWorkers()
		cmd, _ := s.start(role, s.open(3), "READY=1\nSTATUS=hi")
		begin(map[int]*exec.Cmd{3: cmd})
		got := next(t, s.heard)
		if got.Slot != 3 || got.Incarnation != 7 || !got.Ready || got.Status == nil || *got.Status != "hi" {
			t.Errorf("%s: %+v", role, got)
		}
		if own := got.PID == cmd.Process.Pid; own != (role == "worker") {
			t.Errorf("%s: process %d of worker %d spoke", role, got.PID, cmd.Process.Pid)
		}
	}
}

func TestAStrangerIsRefused(t *testing.T) {
	s := serve(t, t.TempDir())
	begin := s.asWorkers()
	stranger, _ := s.start("worker", s.open(1), "READY=1")
	begin(nil)
	want := notify.Refusal{Slot: 1, PID: stranger.Process.Pid, UID: os.Geteuid(), Reason: notify.Stranger}
	if got := next(t, s.refused); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAWorkerDoesNotSpeakForAnother(t *testing.T) {
	s := serve(t, t.TempDir())
	begin := s.asWorkers()
	s.open(2)
	second, _ := s.start("worker", s.open(1), "READY=1")
	begin(map[int]*exec.Cmd{2: second})
	if got := next(t, s.refused); got.Slot != 1 || got.PID != second.Process.Pid || got.Reason != notify.Stranger {
		t.Errorf("%+v", got)
	}
}

func TestASenderThatHasEndedIsRefused(t *testing.T) {
	s := serve(t, t.TempDir())
	begin := s.asWorkers()
	short := exec.Command(os.Args[0], "READY=1")
	short.Env = append(os.Environ(), helper+"=worker", "NOTIFY_SOCKET="+s.open(1), "GORACE=atexit_sleep_ms=0")
	if err := short.Run(); err != nil {
		t.Fatal(err)
	}
	begin(map[int]*exec.Cmd{1: short})
	if got := next(t, s.refused); got.PID != short.Process.Pid || got.Reason != notify.Gone {
		t.Errorf("%+v", got)
	}
}

func TestAMessageOfAMegabyteDoesNotEvenArrive(t *testing.T) {
	s := serve(t, t.TempDir())
	cmd, out := s.start("huge", s.open(1), "")
	said, _ := io.ReadAll(out)
	_ = cmd.Wait()
	if !strings.Contains(string(said), "message too long") {
		t.Errorf("the sender was told %q", said)
	}
}

func TestALongMessageIsRefusedAsAWhole(t *testing.T) {
	s := serve(t, t.TempDir())
	s.groups[unix.Getpgrp()] = 1
	address := s.open(1)
	for _, size := range []int{4097, 64 << 10, 150 << 10} {
		state := "READY=1\nX=" + strings.Repeat("x", size-10)
		if err := notify.Send(address, state); err != nil {
			t.Fatal(err)
		}
		if got := next(t, s.refused); got.Reason != notify.TooLong {
			t.Errorf("%d bytes: %+v", size, got)
		}
		if err := notify.Send(address, state[:4096]); err != nil {
			t.Fatal(err)
		}
		if got := next(t, s.heard); !got.Ready {
			t.Errorf("%+v", got)
		}
	}
}

func TestWhatCanBeReadOfAMessageCounts(t *testing.T) {
	s := serve(t, t.TempDir())
	s.groups[unix.Getpgrp()] = 1
	if err := notify.Send(s.open(1), "READY=1\nERRNO=none\nMAINPID=1"); err != nil {
		t.Fatal(err)
	}
	if got := next(t, s.refused); got.Reason != notify.Malformed || !strings.Contains(got.Detail, "ERRNO") {
		t.Errorf("%+v", got)
	}
	if got := next(t, s.heard); !got.Ready || s.Ignored() != 1 {
		t.Errorf("%+v, %d ignored", got, s.Ignored())
	}
}

// systemd-notify(1) ends only when its message has counted.
func TestSystemdNotify(t *testing.T) {
	if _, err := exec.LookPath("systemd-notify"); err != nil {
		t.Skip("systemd-notify is not installed")
	}
	for name, address := range map[string]string{"path": t.TempDir(), "abstract": ""} {
		s := serve(t, address)
		begin := s.asWorkers()
		cmd := exec.Command("sh", "-c", `systemd-notify --ready --status="3 of 4" && systemd-notify WATCHDOG=1; echo done`)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.open(5))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		begin(map[int]*exec.Cmd{5: cmd})
		if err := cmd.Wait(); err != nil || out.String() != "done\n" {
			t.Errorf("%s: %v, %s", name, err, out.String())
		}
		if got := next(t, s.heard); !got.Ready || got.Slot != 5 || got.Status == nil || *got.Status != "3 of 4" {
			t.Errorf("%s: %+v", name, got)
		}
		if got := next(t, s.heard); !got.Watchdog {
			t.Errorf("%s: %+v", name, got)
		}
		select {
		case r := <-s.refused:
			t.Errorf("%s: %+v", name, r)
		default:
		}
	}
}

// Descriptors are closed, however many come, and only after the message has
// counted: that is what a barrier waits for.
func TestDescriptorsAreClosed(t *testing.T) {
	s := serve(t, t.TempDir())
	s.groups[unix.Getpgrp()] = 1
	address := s.open(1)
	before := openFiles(t)
	for _, n := range []int{1, 3, 19, 20, 21, 253} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fds := make([]int, n)
		for i := range fds {
			fds[i] = int(write.Fd())
		}
		if err := sendWith(address, "FDSTORE=1\nWATCHDOG=1\nBARRIER=1", fds...); err != nil {
			t.Fatal(err)
		}
		_ = write.Close()
		_ = read.SetReadDeadline(time.Now().Add(fatalWait))
		if _, err := read.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%d descriptors: %v", n, err)
		}
		_ = read.Close()
		select {
		case m := <-s.heard:
			if !m.Watchdog {
				t.Errorf("%+v", m)
			}
		default:
			t.Errorf("%d descriptors were closed before the message counted", n)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors are open, there were %d", after, before)
	}
}

func TestAFloodHoldsUpItsOwnSlotOnly(t *testing.T) {
	s := serve(t, t.TempDir())
	s.groups[unix.Getpgrp()] = 1 // both sockets are asked about us; the second refuses
	flooded, quiet := s.open(1), s.open(2)
	began := time.Now()
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				sent <- n
				return
			default:
			}
			if notify.Send(flooded, "WATCHDOG=1") == nil {
				n++
			}
		}
	}()
	for range 110 { // the burst is over, the flood is paced
		next(t, s.heard)
	}
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("ten messages after the burst took %v", took)
	}
	for range 5 {
		at := time.Now()
		if err := notify.Send(quiet, "READY=1"); err != nil {
			t.Fatal(err)
		}
		if r := next(t, s.refused); r.Slot != 2 {
			t.Errorf("%+v", r)
		}
		if took := time.Since(at); took > 5*time.Second {
			t.Errorf("the quiet slot waited %v", took)
		}
	}
	close(stop)
	n := <-sent
	// A hundred at once and a hundred a second; the socket's own queue comes on top.
	if most := 100 + int(time.Since(began)/(10*time.Millisecond)) + 600; n > most {
		t.Errorf("%d messages were taken in %v", n, time.Since(began))
	}
}

func TestOnlyTheWorkersUserMaySend(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a socket away")
	}
	dir := t.TempDir()
	for _, open := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(open, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, dir)
	const nobody = 65534
	address, err := s.Open(1, nobody)
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Lstat(address, &stat); err != nil || stat.Mode&0o777 != 0o600 || stat.Uid != nobody {
		t.Errorf("mode %o, owner %d, %v", stat.Mode, stat.Uid, err)
	}
	// The test binary lies where other users cannot get at it: test(1) does as well.
	for uid, want := range map[uint32]bool{nobody: true, 65533: false} {
		cmd := exec.Command("test", "-w", address)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if err := cmd.Run(); (err == nil) != want {
			t.Errorf("user %d: %v", uid, err)
		}
	}
}

func TestASlotKeepsItsAddressUntilItIsShut(t *testing.T) {
	s := serve(t, t.TempDir())
	first := s.open(1)
	if first != filepath.Join(s.dir, "notify.1.sock") || s.open(1) != first {
		t.Errorf("%q and %q", first, s.open(1))
	}
	if err := s.Shut(1); err != nil {
		t.Error(err)
	}
	if err := s.Shut(1); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	s.open(1)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Open(1, -1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAStaleSocketIsReplacedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notify.1.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dir)
	if _, err := s.Open(1, -1); !errors.Is(err, notify.ErrInUse) {
		t.Errorf("one that is listened on: %v", err)
	}
	_ = unix.Close(fd)
	if address := s.open(1); address != path {
		t.Errorf("a stale one: %q", address)
	}
	if err := os.WriteFile(filepath.Join(dir, "notify.2.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(2, -1); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file: %v", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
