package life_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// apart is more than what two deliveries of one request may be apart.
func apart(t *testing.T) {
	t.Helper()
	<-time.After(150 * time.Millisecond)
}

func TestADoubledStopSignalIsOneRequest(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n1", "--", "worker", "slow", file, "300ms")
		harness.File(t, file)
		b.Signal(syscall.SIGTERM)
		b.Signal(syscall.SIGINT)
		b.Signal(syscall.SIGTERM)
		b.WantCode(t, 0)
		wantLines(t, harness.Content(file), "term", 1)
		wantLines(t, harness.Content(file), "cleaned", 1)
	})
}

func TestEachFurtherStopSignalEndsOnePhase(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		file, finished := filepath.Join(dir, "file"), filepath.Join(dir, "finished")
		b := m.Start(t, "-n1", "--drain-delay", "20s", "--stop-timeout", "60s",
			"--finish", "sh -c 'echo x >>"+finished+"'", "--", "worker", "slow", file, "1h")
		harness.File(t, file)
		b.WaitRunning(1)

		b.Signal(syscall.SIGTERM)
		b.WaitLog("msg=stopping")
		apart(t)
		wantLines(t, harness.Content(file), "term", 0)

		b.Signal(syscall.SIGTERM) // drain -> stop signal
		harness.Until(t, "the worker is asked", func() bool { return strings.Contains(harness.Content(file), "term") })
		apart(t)
		if n := b.Stderr.Count("hastened"); n != 1 {
			t.Errorf("hastened %d times:\n%s", n, b.Stderr)
		}
		wantLines(t, harness.Content(file), "term", 1)

		b.Signal(syscall.SIGTERM) // grace -> KILL
		b.WantCode(t, 137)
		wantLines(t, harness.Content(finished), "x", 1)
	})
}

func TestFurtherStopSignalsCanBeIgnored(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n1", "--second-signal", "ignore", "--", "worker", "slow", file, "2s")
		harness.File(t, file)
		for range 3 {
			b.Signal(syscall.SIGTERM)
			apart(t)
		}
		b.WantCode(t, 0)
		wantLines(t, harness.Content(file), "term", 1)
	})
}
