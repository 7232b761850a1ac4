package sigsink

import (
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// libcs are those that the runtime leaves to the C library.
var libcs = []syscall.Signal{32, 34}

func TestWhatIsDroppedEndsNobodyWhicheverThreadGetsIt(t *testing.T) {
	if err := Drop(libcs...); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	for range 4 {
		go func() { // threads that run Go code, and are in the way of the signal
			for !done.Load() {
			}
		}()
	}
	for range 1000 {
		for _, sig := range libcs {
			if err := unix.Kill(unix.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	done.Store(true)
}

func TestWhatHasAHandlerOrIsIgnoredIsLeftAlone(t *testing.T) {
	signal.Ignore(syscall.SIGUSR1)
	defer signal.Reset(syscall.SIGUSR1)
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
		before, err := change(sig, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := Drop(sig); err != nil {
			t.Fatal(err)
		}
		after, err := change(sig, nil)
		if err != nil {
			t.Fatal(err)
		}
		if before != after {
			t.Errorf("signal %d: %+v became %+v", sig, before, after)
		}
	}
}

func TestASignalThatDoesNotExistIsAnError(t *testing.T) {
	if err := Drop(65); err == nil || !strings.Contains(err.Error(), "65") {
		t.Error(err)
	}
}

func TestADroppedSignalIsNotIgnoredByWhatIsExecuted(t *testing.T) {
	if err := Drop(libcs...); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("grep", "SigIgn", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := strconv.ParseUint(strings.Fields(string(out))[1], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	// Of 32 nothing can be said: posix_spawn of glibc, which make uses, lets what
	// it starts ignore it.
	if ignored&(1<<(34-1)) != 0 {
		t.Errorf("a child ignores signal 34: %x", ignored)
	}
}
