package terminal_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// With several workers brood is the foreground: Ctrl-Z reaches brood alone,
// which passes it on and goes on itself.
func TestCtrlZWithSeveralWorkersLeavesThemStoppable(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n2", "--stop-timeout=5s", "--", "sleep", "300"}})
		harness.Until(t, "both run", func() bool { return term.Screen.Count("worker started") == 2 })
		harness.Until(t, "both are asleep", func() bool { return len(b.Workers()) == 2 && commBelow(b.PID, "worker") == 0 })
		term.press(ctrlZ)
		stopped := func() (n int) {
			for _, p := range harness.Children(b.PID) {
				if p.State == 'T' {
					n++
				}
			}
			return n
		}
		harness.Until(t, "both workers are stopped", func() bool { return stopped() == 2 })
		b.Signal(syscall.SIGCONT)
		harness.Until(t, "both workers go on", func() bool { return stopped() == 0 })
		term.press(ctrlZ)
		harness.Until(t, "both workers are stopped", func() bool { return stopped() == 2 })
		// Who is stopped cannot honour the stop unless it is woken.
		term.press(ctrlC)
		b.WantCode(t, 0)
	})
}

func TestAHangUpReachesTheWorker(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n1", "--", "worker", "report", file, "HUP"}})
		harness.File(t, file)
		_ = term.keys.Close()
		harness.Until(t, "the worker is told", func() bool { return strings.Contains(harness.Content(file), " 1\n") })
		b.WantCode(t, 0)
	})
}

// Nobody is there who would notice that brood has stopped, or could resume it.
func TestCtrlZWithoutAShellAboveIsNothing(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n1", "--", "sleep", "300"}})
		harness.Until(t, "it sleeps", func() bool { return commBelow(b.PID, "sleep") != 0 })
		term.press(ctrlZ)
		harness.Never(t, 300*time.Millisecond, "brood is stopped", func() bool { p, _ := harness.Look(b.PID); return p.State == 'T' })
		b.Stop(t, 0)
	})
}

// The terminal's keys reach the worker alone: what ends it is for brood too.
func TestCtrlCEndsAWorkerThatKnowsNothingOfIt(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n1", "--", "sleep", "300"}})
		harness.Until(t, "it sleeps", func() bool { return commBelow(b.PID, "sleep") != 0 })
		// The key flushes what the terminal has not shown yet: termios(3), NOFLSH.
		harness.Until(t, "its line is read", func() bool { return term.Screen.Count("worker started") == 1 })
		term.press(ctrlC)
		b.WantCode(t, 0)
		wantCount(t, term.Screen.String(), "worker started", 1)
	})
}

func TestAHangUpStopsBroodWhoseWorkersIgnoreIt(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n2", "--stop-signal", "TERM", "--", "worker", "slow", file, "1ms"}})
		harness.Until(t, "both are ready", func() bool { return strings.Count(harness.Content(file), " ready\n") == 2 })
		_ = term.keys.Close()
		b.WantCode(t, 0)
		wantCount(t, harness.Content(file), " cleaned\n", 2)
	})
}
