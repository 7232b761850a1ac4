package staging_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/staging"
)

// odd puts a shell into a state that is unlike that of any test, and executes.
const odd = `trap '' INT HUP TSTP TTIN TTOU; umask 027; ulimit -Sn 333; ulimit -Hn 4444; ulimit -Sc 0; cd /usr/lib
exec nice -n 3 "$@" 5</etc/hostname 9</dev/null`

// A worker has what brood was born with, whether or not it comes from the stage.
func TestTheStageLeavesNoTrace(t *testing.T) {
	out := underOddConditions(t, helper(t, "compare", staging.Attributes{}))
	if strings.Contains(out, "DIFFERS") {
		t.Fatal(out)
	}
	wantMask := bits(unix.SIGUSR2, unix.SIGWINCH, unix.SIGPIPE)
	for key, want := range map[string]string{
		"SigBlk": wantMask, "ShdPnd": bits(), "Umask": "0027", "Seccomp": "0",
		"SigIgn": bits(unix.SIGINT, unix.SIGHUP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU),
		"SigCgt": bits(),
	} {
		if got := withoutLibc(field(out, key)); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	for _, want := range []string{
		"\n/usr/lib\n", "\n3\n", "5 -> /etc/hostname", "9 -> /dev/null", "ODD=yes\n",
		"Max open files            333                  4444 ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the worker lacks %q: %s", want, out)
		}
	}
	if strings.Contains(out, "_BROOD_STAGE") || strings.Contains(out, "GOGC") {
		t.Errorf("variables of the stage have reached the worker: %s", out)
	}
}

// Of the signals that Go lets be known; see the package comment.
func TestAWorkerHasWhatItWouldHaveWithoutBrood(t *testing.T) {
	direct := underOddConditions(t, staging.Command{Path: "/bin/cat", Args: []string{"/bin/cat", "/proc/self/status"}})
	brood := underOddConditions(t, helper(t, "compare", staging.Attributes{}))
	for _, key := range []string{"SigBlk", "SigIgn", "Umask", "Cpus_allowed", "NoNewPrivs", "CapEff", "Groups", "Uid"} {
		if got, want := field(brood, key), field(direct, key); got != want {
			t.Errorf("%s is %q in a worker, and %q without brood", key, got, want)
		}
	}
}

// underOddConditions runs c as a child of a shell, with signals blocked.
func underOddConditions(t *testing.T, c staging.Command) string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	for _, sig := range []unix.Signal{unix.SIGUSR2, unix.SIGWINCH, unix.SIGPIPE} {
		block.Val[0] |= 1 << (sig - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }()
	cmd := exec.Command("/bin/sh", append([]string{"-c", odd, "sh", c.Path}, c.Args[1:]...)...)
	cmd.Env = append(c.Env, "ODD=yes", "PATH="+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// withoutLibc leaves out 32 and 33 of a set: glibc's posix_spawn, by which make
// starts us, leaves them ignored.
func withoutLibc(set string) string {
	n, err := strconv.ParseUint(set, 16, 64)
	if err != nil || len(set) != 16 {
		return set
	}
	return fmt.Sprintf("%016x", n&^(1<<31|1<<32))
}

func bits(signals ...unix.Signal) string {
	var set uint64
	for _, s := range signals {
		set |= 1 << (s - 1)
	}
	text := strconv.FormatUint(set, 16)
	return strings.Repeat("0", 16-len(text)) + text
}
