package prometheus_test

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// How a labourer is told to end with a code, or to work again.
const (
	endWith3   = syscall.SIGUSR1
	endWith7   = syscall.SIGUSR2
	endWith0   = syscall.SIGCONT
	workAgain  = syscall.SIGWINCH
	shift      = 250 * time.Millisecond // of work, for each slot's number
	tooLong    = 5 * time.Minute        // for a labourer that a test has lost
	tooLongEnd = 97
)

// labour burns CPU time, more in higher slots, and waits for what to do next. It
// keeps an account of the time it has used in a file of its own.
func labour(dir string) (code int, err error) {
	slot, err := strconv.Atoi(os.Getenv("BROOD_SLOT"))
	if err != nil {
		return tooLongEnd, err
	}
	told := make(chan os.Signal, 16)
	signal.Notify(told, endWith0, endWith3, endWith7, workAgain)
	late := time.After(tooLong)
	account := filepath.Join(dir, os.Getenv("BROOD_SLOT")+"."+os.Getenv("BROOD_INCARNATION"))
	if err := work(account, slot); err != nil {
		return tooLongEnd, err
	}
	for {
		select {
		case s := <-told:
			switch s {
			case endWith3:
				return 3, write(account, "ended")
			case endWith7:
				return 7, write(account, "ended")
			case endWith0:
				return 0, write(account, "ended")
			}
			if err := work(account, slot); err != nil {
				return tooLongEnd, err
			}
		case <-late:
			return tooLongEnd, nil
		}
	}
}

// work burns until the process has used so much more time, a part of it in the
// kernel.
func work(account string, shifts int) error {
	until := used() + time.Duration(shifts)*shift
	for used() < until {
		for n, x := 0, 1.0; n < 1_000_000; n++ {
			x *= 1.0000001
		}
		for range 500 {
			_ = unix.Getppid()
		}
		if err := write(account, "works"); err != nil {
			return err
		}
	}
	return write(account, "waits")
}

// used is the CPU time of this process as the kernel accounts for it.
func used() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func write(account, state string) error {
	text := fmt.Sprintf("%d %s\n", used().Nanoseconds(), state)
	if err := os.WriteFile(account+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(account+".new", account)
}

// accounts are what all incarnations of a slot say they have used.
func accounts(t testing.TB, dir string, slot int) (sum time.Duration, incarnations int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, strconv.Itoa(slot)+".*[0-9]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		n, _, _ := strings.Cut(harness.Content(file), " ")
		nanoseconds, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(nanoseconds)
	}
	return sum, len(files)
}

// waits waits until an incarnation has done its work.
func waits(t testing.TB, dir string, slot, incarnation int) {
	t.Helper()
	file := filepath.Join(dir, fmt.Sprintf("%d.%d", slot, incarnation))
	harness.Until(t, file+" says that it waits", func() bool { return strings.Contains(harness.Content(file), "waits") })
}
