package life_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// fullPipe is the write end of a pipe with no room left that nobody reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	fd := int(w.Fd()) // from here on the file is a blocking one
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 16, 1} {
		for {
			if _, err := syscall.Write(fd, make([]byte, size)); err != nil {
				break
			}
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	return w
}

// brokenPipe is the write end of a pipe whose reader is gone.
func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func devFull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		harness.Missing(t, "no /dev/full: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestALogThatCannotBeWrittenHoldsNothingUp(t *testing.T) {
	for name, stderr := range map[string]func(*testing.T) *os.File{
		"a full pipe": fullPipe, "the reader is gone": brokenPipe, "the disk is full": devFull, "closed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				o := harness.Options{Args: []string{"-n2", "--log-level=debug", "--restart-backoff=1ms..1ms", "--", "sh", "-c", "exec sleep 300"}}
				if stderr != nil {
					o.Stderr = stderr(t)
				} else {
					o.Stage.Close = []int{2}
				}
				b := m.StartWith(t, o)
				first := b.Slot(1)
				_ = harness.Kill(first, syscall.SIGKILL)
				b.SlotAfter(1, first)
				harness.Until(t, "the dead worker is reaped", func() bool { return len(b.Zombies()) == 0 })
				began := time.Now()
				b.Stop(t, 0)
				if took := time.Since(began); took > 6*time.Second { // well below the budget of 9 s
					t.Errorf("the stop took %s", took)
				}
			})
		})
	}
}

func TestAllStandardDescriptorsMayBeClosed(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "fds")
		b := m.StartWith(t, harness.Options{
			Args:  []string{"-n1", "--", "sh", "-c", "ls -l /proc/$$/fd >" + file + ".tmp; mv " + file + ".tmp " + file + "; exec sleep 300"},
			Stage: harness.Stage{Close: []int{0, 1, 2}},
		})
		text := harness.File(t, file)
		// Whatever brood opens must not take the place of a standard descriptor.
		for _, bad := range []string{"epoll", "eventfd", "pipe", ".pid", "/run"} {
			if strings.Contains(text, bad) {
				t.Errorf("a worker has a descriptor of brood's own:\n%s", text)
			}
		}
		b.Stop(t, 0)
	})
}

func TestAWorkerThatFloodsAFullPipeCanBeStopped(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.StartWith(t, harness.Options{Args: []string{"-n1", "--", "worker", "flood", "10000000"}, Stdout: fullPipe(t)})
		b.Slot(1)
		b.Stop(t, 0)
	})
}

func TestAReadOnlyRootIsEnough(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		needMounts(t)
		b := m.StartWith(t, harness.Options{
			Args:      []string{"-n1", "--", "sh", "-c", "echo up; exec sleep 300"},
			NoPIDFile: true, OwnMounts: true,
			Stage: harness.Stage{ReadOnly: true},
		})
		b.Stdout.Await(t, "up")
		b.WaitLog("no PID files are written")
		b.Stop(t, 0)
	})
}

func TestWithoutProcEverybodyIsStillStopped(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		needMounts(t)
		file := filepath.Join(t.TempDir(), "file")
		b := m.StartWith(t, harness.Options{
			Args:      []string{"-n1", "--stop-timeout=3s", "--", "sh", "-c", "(worker slow $F 100ms &); until test -s $F; do sleep 0.01; done; exec sleep 300"},
			Env:       []string{"F=" + file},
			OwnMounts: true,
			Stage:     harness.Stage{HideProc: true},
			// A subreaper that cannot see who is below it must not guess.
			LeavesProcesses: !m.PID1,
		})
		harness.File(t, file)
		began := time.Now()
		b.Signal(syscall.SIGTERM)
		harness.Until(t, "brood ends", b.HasEnded)
		wantWithin(t, 3*time.Second, began)
		if m.PID1 {
			wantLines(t, harness.Content(file), "cleaned", 1)
			b.WantCode(t, 0)
		}
	})
}

func TestWithoutDevNullWorkersReadNothing(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		needMounts(t)
		b := m.StartWith(t, harness.Options{
			Args:      []string{"-n2", "--", "sh", "-c", "cat; echo read nothing; exec sleep 300"},
			OwnMounts: true,
			Stage:     harness.Stage{HideNull: true},
		})
		b.Stdout.Await(t, "read nothing")
		b.Stop(t, 0)
	})
}

// A PID namespace whose /proc shows another one, as after a bare "unshare -pf":
// the numbers in there are strangers.
func TestAProcOfAnotherNamespaceIsNotBelieved(t *testing.T) {
	m := harness.Mode{PID1: true}
	t.Parallel()
	m.Need(t)
	file := filepath.Join(t.TempDir(), "file")
	b := m.StartWith(t, harness.Options{
		Args:  []string{"-n1", "--stop-timeout=20s", "--", "sh", "-c", "(worker slow $F 100ms &); until test -s $F; do sleep 0.01; done; exec sleep 300"},
		Env:   []string{"F=" + file},
		Stage: harness.Stage{KeepProc: true},
	})
	harness.File(t, file)
	began := time.Now()
	b.Stop(t, 0)
	wantLines(t, harness.Content(file), "cleaned", 1)
	if took := time.Since(began); took > 10*time.Second { // half the budget
		t.Errorf("the stop took %s", took)
	}
}

func needMounts(t *testing.T) {
	t.Helper()
	harness.Mode{PID1: true}.Need(t)
}

func TestANumberOfWorkersBeyondTheQueueStartsAndStops(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		const n = 120
		b := m.Start(t, fmt.Sprint("-n", n), "--", "sleep", "300")
		b.WaitRunning(n)
		harness.Until(t, "each has its file, and the control socket is there", func() bool { return len(b.PIDFiles()) == n+2 })
		b.Stop(t, 0)
	})
}
