package staging_test

import (
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/staging"
)

func status(t *testing.T, a staging.Attributes) string {
	t.Helper()
	return run(t, newStage(t), staging.Command{Path: "/bin/cat", Args: []string{"cat", "/proc/self/status"}, Attributes: a})
}

func TestAWorkerBecomesItsUserForGood(t *testing.T) {
	needRoot(t)
	got := status(t, staging.Attributes{User: &staging.User{UID: 4711, GID: 4712, Groups: []uint32{4712, 5}}})
	for key, want := range map[string]string{
		"Uid": "4711 4711 4711 4711", "Gid": "4712 4712 4712 4712", "Groups": "5 4712",
		"CapEff": strings.Repeat("0", 16), "CapPrm": strings.Repeat("0", 16), "CapAmb": strings.Repeat("0", 16),
		"NoNewPrivs": "0",
	} {
		if field(got, key) != want {
			t.Errorf("%s is %q, want %q", key, field(got, key), want)
		}
	}
}

func TestAUserWithoutGroupsLosesThoseOfBrood(t *testing.T) {
	needRoot(t)
	old, err := unix.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setgroups([]int{20, 24}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setgroups(old) }()
	if got := field(status(t, staging.Attributes{User: &staging.User{UID: 1, GID: 1}}), "Groups"); got != "" {
		t.Errorf("it is in the groups %s", got)
	}
}

func TestAWorkerGetsItsOtherAttributes(t *testing.T) {
	affinity, err := staging.ParseAffinity("auto")
	if err != nil {
		t.Fatal(err)
	}
	cpus := affinity.For(2)
	limit := func(text string) staging.Limit {
		l, err := staging.ParseRlimit(text)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	got := status(t, staging.Attributes{NoNewPrivs: true, CPUs: cpus})
	if field(got, "NoNewPrivs") != "1" || field(got, "Cpus_allowed_list") != strconv.Itoa(cpus[0]) {
		t.Errorf("no_new_privs is %s, the CPUs are %s", field(got, "NoNewPrivs"), field(got, "Cpus_allowed_list"))
	}
	limits := run(t, newStage(t), shell("ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc", staging.Attributes{
		Limits: []staging.Limit{limit("nofile=77:99"), limit("core=0")},
	}))
	if want := "77\n99\n0\n0\n"; limits != want {
		t.Errorf("limits %q, want %q", limits, want)
	}
}

// A limit far below what a Go program has mapped already must not stop the
// stage on the way to the exec.
func TestASmallMemoryLimitIsForTheWorkerAndNotForTheStage(t *testing.T) {
	for _, text := range []string{"data=4194304", "as=33554432"} {
		l, err := staging.ParseRlimit(text)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			run(t, newStage(t), staging.Command{
				Path: "/bin/true", Args: append([]string{"true"}, manyArguments(1<<20)...),
				Attributes: staging.Attributes{Limits: []staging.Limit{l}},
			})
		}
	}
}

func manyArguments(size int) []string {
	var args []string
	for i := 0; size > 0; i++ {
		a := strconv.Itoa(i) + strings.Repeat("x", 100_000)
		args = append(args, a)
		size -= len(a)
	}
	return args
}

func TestAMegabyteOfArgumentsAndTheEnvironmentArriveAsTheyAre(t *testing.T) {
	args := append([]string{"sh", "-c", `printf '%s\n' "$@"`, "sh"}, manyArguments(1<<20)...)
	args = append(args, "", "a b", "ümläut", "\xff\x01\n")
	env := []string{"A=1", "A=2", "EMPTY=", "odd entry", "GODEBUG=gctrace=1", "GOMAXPROCS=7", "LISTEN_PID=1"}
	c := staging.Command{Path: "/bin/sh", Args: args, Env: env}
	if got, want := run(t, newStage(t), c), run(t, nil, c); got != want {
		t.Errorf("%d bytes of arguments arrived, want %d", len(got), len(want))
	}
	c = staging.Command{Path: "/bin/cat", Args: []string{"cat", "/proc/self/environ"}, Env: env}
	if got, want := run(t, newStage(t), c), strings.Join(env, "\x00")+"\x00"; got != want {
		t.Errorf("environment\n %q, want\n %q", got, want)
	}
}

func TestListenPIDIsTheWorkersOwn(t *testing.T) {
	l := listen(t)
	got := run(t, newStage(t), staging.Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo $LISTEN_PID $$; tr '\\0' '\\n' </proc/$$/environ | grep -c LISTEN_PID"},
		Env:        []string{"LISTEN_PID=1", "PATH=" + os.Getenv("PATH")},
		Attributes: staging.Attributes{Files: []int{l}},
	})
	told, own, _ := strings.Cut(strings.SplitN(got, "\n", 2)[0], " ")
	if told != own || told == "" || !strings.HasSuffix(got, "\n1\n") {
		t.Errorf("LISTEN_PID and the PID: %q", got)
	}
}

// listen returns a blocking listening socket.
func listen(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 16))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestFilesAreFromThreeOnWhereverTheyWere(t *testing.T) {
	dir := t.TempDir()
	open := func(name string, at int) int {
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, at)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
		t.Cleanup(func() { _ = unix.Close(moved) })
		return moved
	}
	low := []int{open("a", 3), open("b", 4), open("c", 5)}
	high := open("d", 300)
	for _, files := range [][]int{low, {low[2], low[0], low[1]}, {high, low[1]}, {low[1], high, low[1]}, {high}} {
		list := staging.Command{Path: "/bin/ls", Args: []string{"ls", "-l", "/proc/self/fd"}, Attributes: staging.Attributes{Files: files}}
		got, born := openIn(run(t, newStage(t), list)), openIn(run(t, nil, list))
		for i, fd := range files {
			target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			if err != nil {
				t.Fatal(err)
			}
			born[strconv.Itoa(3+i)] = target
		}
		if !maps.Equal(got, born) {
			t.Errorf("files %v: the worker has\n%v, want\n%v", files, got, born)
		}
	}
	for _, fd := range append(low, high) {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d of brood: flags %d, %v", fd, flags, err)
		}
	}
}

// openIn reads the output of ls -l: number to target.
func openIn(text string) map[string]string {
	open := make(map[string]string)
	for line := range strings.Lines(comparable(text)) {
		if f := strings.Fields(line); len(f) == 4 {
			open[f[1]] = f[3]
		}
	}
	return open
}

func TestPythonAcceptsOnASocketThatItWasGiven(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	l := listen(t)
	at, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	const script = `
import http.server, os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ
s = http.server.HTTPServer(("", 0), http.server.SimpleHTTPRequestHandler, bind_and_activate=False)
s.socket.close()
s.socket = socket.socket(fileno=3)
s.server_address = s.socket.getsockname()
s.handle_request()
`
	p, err := start(newStage(t), staging.Command{
		Path: python, Args: []string{"python3", "-c", script}, Env: os.Environ(),
		Attributes: staging.Attributes{Files: []int{l}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(at.(*unix.SockaddrInet4).Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("HEAD / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	n, err := c.Read(answer)
	if err != nil || !strings.Contains(string(answer[:n]), "200") {
		t.Errorf("answer %q, %v", answer[:n], err)
	}
	if out, ws := p.end(); ws != 0 {
		t.Errorf("python ended with %#x: %s", uint32(ws), out)
	}
}

// The kernel clears the parent-death signal when a thread changes its user.
func TestAWorkerOfAnotherUserDiesWithBrood(t *testing.T) {
	needRoot(t)
	const prGetPdeathsig = "import ctypes; n=ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 to ask prctl")
	}
	if resolved, err := filepath.EvalSymlinks(python); err != nil || strings.HasPrefix(resolved, "/root/") {
		python = "/usr/bin/python3"
	}
	if err := unix.Access(python, unix.X_OK); err != nil {
		t.Skip("there is no python3 that others may execute")
	}
	c := staging.Command{Path: python, Args: []string{"python3", "-c", prGetPdeathsig}, Attributes: staging.Attributes{User: &staging.User{UID: 65534, GID: 65534}}}
	if got, want := run(t, newStage(t), c), strconv.Itoa(int(syscall.SIGKILL))+"\n"; got != want {
		t.Errorf("the parent-death signal is %q, want %q", got, want)
	}
}
