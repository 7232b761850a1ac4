package sockets_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/sockets"
)

// As a helper the test binary is what systemd starts: it prints what it has
// inherited and what becomes of it.
func TestMain(m *testing.M) {
	if os.Getenv("SOCKETS_TEST_HELPER") == "" {
		os.Exit(m.Run())
	}
	environ := append(os.Environ(), "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	inherited, err := sockets.Inherited(environ, os.Getpid())
	if err != nil {
		os.Stdout.WriteString("error: " + err.Error() + "\n")
		os.Exit(0)
	}
	var specs []sockets.Spec
	for _, text := range os.Args[1:] {
		s, err := sockets.Parse(text)
		if err != nil {
			panic(err)
		}
		specs = append(specs, s)
	}
	set, err := sockets.Open(specs, inherited, nil)
	if err != nil {
		os.Stdout.WriteString("error: " + err.Error() + "\n")
		os.Exit(0)
	}
	passed, err := set.For(1)
	if err != nil {
		panic(err)
	}
	for _, in := range inherited {
		if flags, err := unix.FcntlInt(uintptr(in.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			os.Stdout.WriteString("an inherited descriptor is not close-on-exec\n")
		}
	}
	for _, s := range passed {
		os.Stdout.WriteString(s.Name + " " + s.Address + "\n")
	}
	os.Exit(0)
}

func TestSocketsFromOutsideAreOurs(t *testing.T) {
	set := open(t, "tcp4://127.0.0.1:0", "tcp4://127.0.0.1:0")
	s := one(t, set, 1)
	a, b := "127.0.0.1:"+portOf(t, s[0].FD), "127.0.0.1:"+portOf(t, s[1].FD)
	for _, test := range []struct {
		names string
		specs string
		want  string
	}{
		{"web:admin", "", "web " + a + ";admin " + b},
		{"", "", "unknown " + a + ";unknown " + b},
		{"web:admin", "admin=tcp://:9 web=tcp://:80", "admin " + b + ";web " + a},
		{"web:admin", "admin=tcp://:9", "admin " + b},
		{"", "mine=tcp://" + b, "mine " + b},
		{"web:admin", "tcp://" + a, "web " + a},
		{"web:admin", "web=tcp://:80,reuseport", "error: cannot listen on web=tcp://:80,reuseport: it comes from outside, one for all workers: leave out ,reuseport"},
		{"one", "", "error: LISTEN_FDNAMES has 1 names, and LISTEN_FDS is 2: want one name for each"},
	} {
		if got := inheriting(t, s, "2", test.names, test.specs); got != test.want {
			t.Errorf("names %q, specs %q:\n got %s\nwant %s", test.names, test.specs, got, test.want)
		}
	}
	if got := inheriting(t, s[:1], "2", "", ""); !strings.Contains(got, "descriptor 4 of LISTEN_FDS: there is no socket open") {
		t.Errorf("a missing descriptor: %s", got)
	}
	for _, count := range []string{"", "x", "-1", "99999999"} {
		if got := inheriting(t, s, count, "", ""); !strings.HasPrefix(got, "error: LISTEN_FDS is") {
			t.Errorf("LISTEN_FDS=%s: %s", count, got)
		}
	}
}

func inheriting(t *testing.T, s sockets.Sockets, count, names, specs string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", strings.Fields(specs)...)
	cmd.Env = append(os.Environ(), "SOCKETS_TEST_HELPER=1", "GORACE=atexit_sleep_ms=0", "LISTEN_FDS="+count, "LISTEN_FDNAMES="+names)
	for _, one := range s {
		fd, err := unix.Dup(one.FD)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "socket")
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", ";")
}

func TestSocketsForAnotherAreNotOurs(t *testing.T) {
	for _, pid := range []string{"", "1", "x"} {
		got, err := sockets.Inherited([]string{"LISTEN_PID=" + pid, "LISTEN_FDS=1"}, 4711)
		if err != nil || got != nil {
			t.Errorf("LISTEN_PID=%q: %v, %v", pid, got, err)
		}
	}
}

func FuzzInherited(f *testing.F) {
	f.Add("0", "a:b")
	f.Add("1000000", "")
	f.Fuzz(func(t *testing.T, count, names string) {
		if n, err := strconv.Atoi(count); err == nil && n > 0 && n <= 4096 {
			t.Skip("it would touch descriptors of the test")
		}
		got, err := sockets.Inherited([]string{"LISTEN_PID=7", "LISTEN_FDS=" + count, "LISTEN_FDNAMES=" + names}, 7)
		if err != nil && strings.Contains(err.Error(), "\n") || len(got) != 0 {
			t.Errorf("%q %q: %v, %v", count, names, got, err)
		}
	})
}
