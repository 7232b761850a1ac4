package life_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// killing is a budget of which a tenth is enough, on a busy machine too, to see
// those end that were killed.
const killing = 5 * time.Second

func TestWhoOutlivesTheGraceIsKilledWithItsGroup(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n1", "--stop-timeout", killing.String(), "--", "sh", "-c",
			"worker ignore "+file+" TERM & worker ignore "+file+" TERM; exit 0")
		harness.Until(t, "both ignore", func() bool { return strings.Count(harness.Content(file), "ignores") == 2 })
		if err := harness.Kill(b.Slot(1), 0); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		b.Signal(syscall.SIGTERM)
		code := b.Wait()
		wantWithin(t, killing, began)
		// dash dies of the TERM at once, and its children are stragglers then.
		if code != 0 && code != 137 {
			t.Errorf("brood ended with %d", code)
		}
	})
}

func TestAWorkerThatIgnoresTheStopIsKilled(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n2", "--stop-timeout", killing.String(), "--", "worker", "ignore", file, "TERM")
		harness.Until(t, "both ignore", func() bool { return strings.Count(harness.Content(file), "ignores") == 2 })
		began := time.Now()
		b.Stop(t, 137)
		wantWithin(t, killing, began)
		b.WaitLog("still running at half the grace", "slot=1")
		b.WaitLog("still running at half the grace", "slot=2")
		b.WaitLog("grace over", "workers=2")
		b.WaitLog("msg=exiting", "code=137", "reason=killed")
	})
}

func TestAShellThatWaitsForItsChildIsNamed(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		ready := filepath.Join(t.TempDir(), "ready")
		b := m.Start(t, "-n1", "--stop-timeout", killing.String(), "--", "sh", "-c", "trap '' TERM; worker ignore "+ready+" TERM; :")
		harness.File(t, ready)
		b.Stop(t, 137)
		b.WaitLog("still running", "a shell waiting for child")
	})
}

// What waits for the last worker's clean-up in other inits is nobody.
func TestAStragglerHasTimeToCleanUp(t *testing.T) {
	for name, script := range map[string]string{
		"in the worker's group":          "(worker slow $F 300ms &); ",
		"in a group of its own":          "(setsid -f worker slow $F 300ms); ",
		"a grandchild of the group":      "(sh -c 'trap \"\" TERM; worker slow $F 300ms; :' &); ",
		"two generations down, a daemon": "(setsid -f sh -c 'trap \"\" TERM; (worker slow $F 300ms &); sleep 0.1'); ",
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				for _, end := range []string{"asked to stop", "by itself"} {
					file := filepath.Join(t.TempDir(), "file")
					work := "until test -s $F; do sleep 0.01; done; "
					if end == "asked to stop" {
						work += "exec worker wait"
					}
					b := m.StartWith(t, harness.Options{
						Args: []string{"-n1", "--", "sh", "-c", script + work},
						Env:  []string{"F=" + file},
					})
					if end == "asked to stop" {
						harness.File(t, file)
						b.Signal(syscall.SIGTERM)
					}
					b.WantCode(t, 0)
					wantLines(t, harness.Content(file), "cleaned", 1)
					wantLines(t, harness.Content(file), "term", 1)
				}
			})
		})
	}
}

func TestAStubbornStragglerIsKilledAndDoesNotSpoilTheCode(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n1", "--stop-timeout", killing.String(), "--", "sh", "-c",
			"(setsid -f worker ignore "+file+" TERM); exec worker wait")
		harness.File(t, file)
		began := time.Now()
		b.Stop(t, 0)
		wantWithin(t, killing, began)
		b.WaitLog("ending stragglers", "SIGTERM")
		b.WaitLog("ending stragglers", "SIGKILL")
	})
}

func TestTheDrainDelayKeepsWorkersServing(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n1", "--drain-delay", "400ms", "--", "worker", "slow", file, "1ms")
		harness.File(t, file)
		b.WaitRunning(1)
		began := time.Now()
		b.Signal(syscall.SIGTERM)
		harness.Until(t, "the worker is asked", func() bool { return strings.Contains(harness.Content(file), "term") })
		if waited := time.Since(began); waited < 400*time.Millisecond {
			t.Errorf("the worker was asked after %s, want 400ms", waited)
		}
		b.WantCode(t, 0)
	})
}

func TestAWorkerThatEndsDuringTheDrainIsNotReplaced(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--drain-delay", "5s", "--", "sleep", "300")
		pid := b.Slot(1)
		b.Signal(syscall.SIGTERM)
		b.WaitLog("msg=stopping")
		began := time.Now()
		if err := harness.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		b.WantCode(t, 143)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("with nobody left to drain the stop took %s", took)
		}
		if n := b.Stderr.Count(`msg="worker started"`); n != 1 {
			t.Errorf("%d workers were started, want 1", n)
		}
	})
}

func TestWhatIsNotOursIsNeverTouched(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		file, gate := filepath.Join(dir, "stranger"), filepath.Join(dir, "gate")
		b := m.Start(t, "-n1", "--finish", "sh -c 'until test -e "+gate+"; do sleep 0.01; done'", "--", "sleep", "300")
		b.Slot(1)
		stranger := startBeside(t, b, "worker", "slow", file, "1ms")
		harness.File(t, file)
		b.Signal(syscall.SIGTERM)
		b.WaitLog(`msg="worker exited"`)
		harness.Until(t, "only the finish hook is left", func() bool { return len(b.Workers()) == 1 })
		apart(t) // a sweep that went too far would be here by now
		wantLines(t, harness.Content(file), "term", 0)
		if !harness.Alive(stranger.Process.Pid) {
			t.Error("the stranger is dead")
		}
		touch(t, gate)
		b.WantCode(t, 0)
		wantLines(t, harness.Content(file), "term", 0)
	})
}
