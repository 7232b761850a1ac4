package life_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestARegisteredProcessIsAskedOnceAndWaitedFor(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.StartWith(t, harness.Options{
			Args: []string{"-n1", "--stop-signal=INT", "--", "sh", "-c", "setsid -f worker register 77 $F 500ms; exec sleep 300"},
			Env:  []string{"F=" + file},
		})
		harness.File(t, file)
		b.Stop(t, 0)
		wantLines(t, harness.Content(file), "term", 1)
		wantLines(t, harness.Content(file), "cleaned", 1)
		b.WaitLog("registered process signalled", "index=77", "SIGTERM")
		removeStale(t, b, "77")
	})
}

func TestARegisteredProcessKeepsBroodAfterTheWorkers(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		b := m.StartWith(t, harness.Options{
			Args: []string{"-n1", "--", "sh", "-c", "setsid -f worker register 77 $F 1ms; until test -s $F; do sleep 0.01; done"},
			Env:  []string{"F=" + file},
		})
		b.WaitLog("slot completed")
		harness.Never(t, 500*time.Millisecond, "brood ends while somebody is registered", b.HasEnded)
		wantLines(t, harness.Content(file), "term", 0)
		inner := number(t, strings.Fields(harness.Content(file))[0])
		_ = harness.Kill(b.Outer(inner), syscall.SIGKILL)
		b.WantCode(t, 0)
		removeStale(t, b, "77")
	})
}

func TestARegisteredProcessThatIgnoresTheStopIsKilled(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.StartWith(t, harness.Options{
			Args: []string{"-n1", "--stop-timeout=" + killing.String(), "--", "sh", "-c", "setsid -f worker register 77 $F 1h; exec sleep 300"},
			Env:  []string{"F=" + file},
		})
		harness.File(t, file)
		b.Stop(t, 137)
		wantLines(t, harness.Content(file), "term", 1)
		removeStale(t, b, "77")
	})
}

// A process that is no descendant of brood takes part by its PID file.
func TestAStrangerMayRegister(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n1", "--", "sleep", "300")
		b.Slot(1)
		cmd := startBesideWith(t, b, []string{"BROOD_PIDFILE=" + b.PIDFile}, "worker", "register", "5", file, "100ms")
		harness.File(t, file)
		b.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		b.WantCode(t, 0)
		wantLines(t, harness.Content(file), "term", 1)
		wantLines(t, harness.Content(file), "cleaned", 1)
		removeStale(t, b, "5")
	})
}

// removeStale takes away what a registered process has left: its file is its
// own, and brood removes only what brood wrote.
func removeStale(t *testing.T, b *harness.Brood, i string) {
	t.Helper()
	if err := os.Remove(b.SlotFile(i)); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestHostilePIDFilesHurtNobody(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--", "sleep", "300")
		b.Slot(1)
		dir := filepath.Dir(b.PIDFile)
		file := filepath.Join(t.TempDir(), "victim")
		// In brood's PID namespace, so that its number means something there.
		victim := startBeside(t, b, "worker", "slow", file, "1ms")
		inner := strings.Fields(harness.File(t, file))[0]

		put := func(name, text string) { write(t, filepath.Join(dir, name), text) }
		put("brood.10.pid", "1\n")
		put("brood.11.pid", "0\n")
		put("brood.12.pid", "-1\n")
		put("brood.13.pid", "-"+inner+"\n")
		put("brood.14.pid", inner+" 1\n")
		put("brood.15.pid", inner+"x\n")
		put("brood.16.pid", "")
		put("brood.17.pid", strings.Repeat("9", 5000))
		put("brood.18.pid", "4294967297\n")
		put("brood.19.pid", "+"+inner+"\n")
		put("brood.x.pid", inner+"\n")
		put("brood.20.pid.bak", inner+"\n")
		put("brood2.1.pid", inner+"\n")
		put("brood.1.2.pid", inner+"\n")
		put("brood.-5.pid", inner+"\n")
		put("elsewhere", inner+"\n")
		for _, trouble := range []error{
			os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "brood.21.pid")),
			os.Link(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "brood.22.pid")),
			syscall.Mkfifo(filepath.Join(dir, "brood.23.pid"), 0o666),
			os.Mkdir(filepath.Join(dir, "brood.24.pid"), 0o755),
			os.Symlink("/dev/zero", filepath.Join(dir, "brood.25.pid")),
		} {
			if trouble != nil {
				t.Fatal(trouble)
			}
		}
		// An old file, and since then the number has gone to the victim.
		put("brood.26.pid", inner+"\n")
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(dir, "brood.26.pid"), old, old); err != nil {
			t.Fatal(err)
		}
		if !m.PID1 {
			put("brood.27.pid", strconv.Itoa(b.PID)+"\n")
		}

		began := time.Now()
		b.Signal(syscall.SIGTERM)
		b.WantCode(t, 0)
		if took := time.Since(began); took > 6*time.Second { // well below the budget of 9 s
			t.Errorf("the stop took %s", took)
		}
		wantLines(t, harness.Content(file), "term", 0)
		if !m.PID1 && !harness.Alive(victim.Process.Pid) {
			t.Error("the victim is dead")
		}
		if b.Stderr.Count("PID file refused") < 10 {
			t.Errorf("too few files were complained about:\n%s", b.Stderr)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	})
}

func TestASlotWhoseNumberIsTakenIsSkipped(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		if m.PID1 {
			t.Skip("nobody can be in the namespace before PID 1")
		}
		dir := filepath.Join(t.TempDir(), "run")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		victim := exec.Command("sleep", "300")
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		reaped := make(chan struct{})
		go func() { defer close(reaped); _ = victim.Wait() }()
		defer func() { _ = victim.Process.Kill(); <-reaped }()
		write(t, filepath.Join(dir, "brood.2.pid"), strconv.Itoa(victim.Process.Pid)+"\n")
		b := m.StartWith(t, harness.Options{PIDFile: filepath.Join(dir, "brood.pid"), Args: []string{"-n2", "--", "sleep", "300"}})
		b.Slot(1)
		b.Slot(3)
		b.Stop(t, 0)
		removeStale(t, b, "2")
	})
}
