package life_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// record is a finish hook that appends a line to $F.
const record = `sh -c 'echo "code=$BROOD_EXIT_CODE reason=$BROOD_REASON" >>$F'`

// Every way out that there is, and the one line that the hook must write.
func TestTheFinishHookRunsOnceOnEveryWayOut(t *testing.T) {
	for name, way := range map[string]struct {
		args  []string
		stop  func(t *testing.T, b *harness.Brood)
		code  int
		wants string
	}{
		"asked to stop": {
			args:  []string{"-n2", "--", "sleep", "300"},
			stop:  func(t *testing.T, b *harness.Brood) { b.WaitRunning(2); b.Signal(syscall.SIGTERM) },
			wants: "code=0 reason=requested",
		},
		"all completed": {
			args:  []string{"-n2", "--", "true"},
			wants: "code=0 reason=completed",
		},
		"failed and never restarted": {
			args: []string{"-n1", "--restart=never", "--", "worker", "exit", "7"},
			code: 7, wants: "code=7 reason=failed",
		},
		"fail fast": {
			args: []string{"-n2", "--fail-fast", "--", "sh", "-c", "test $BROOD_SLOT = 1 && exit 8; exec sleep 300"},
			code: 8, wants: "code=8 reason=failed",
		},
		"killed by a signal": {
			args: []string{"-n1", "--restart=never", "--", "sh", "-c", "kill -USR1 $$"},
			code: 138, wants: "code=138 reason=signaled",
		},
		"given up": {
			args: []string{"-n1", "--max-restarts=2/1m", "--restart-backoff=1ms..2ms", "--", "worker", "exit", "9"},
			code: 9, wants: "code=9 reason=gave-up",
		},
		"not found": {
			args: []string{"-n1", "--", "/no/such/program"},
			code: 127, wants: "code=127 reason=start-failed",
		},
		"prepare failed": {
			args: []string{"-n1", "--prepare=sh -c 'exit 6'", "--", "sleep", "300"},
			code: 6, wants: "code=6 reason=failed",
		},
		"prepare took too long": {
			args: []string{"-n1", "--prepare=sleep 300", "--prepare-timeout=50ms", "--", "sleep", "300"},
			code: 124, wants: "code=124 reason=failed",
		},
		"stopped during prepare": {
			args:  []string{"-n1", "--prepare=sleep 300", "--log-level=debug", "--", "sleep", "300"},
			stop:  func(t *testing.T, b *harness.Brood) { b.WaitLog(`msg="hook started"`); b.Signal(syscall.SIGTERM) },
			wants: "code=0 reason=requested",
		},
		"a worker needed KILL": {
			args: []string{"-n1", "--stop-timeout=3s", "--", "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"},
			stop: func(t *testing.T, b *harness.Brood) {
				b.WaitRunning(1)
				b.Stdout.Await(t, "deaf")
				b.Signal(syscall.SIGTERM)
			},
			code: 137, wants: "code=137 reason=killed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				file := filepath.Join(t.TempDir(), "finished")
				b := m.StartWith(t, harness.Options{
					Args: append([]string{"--finish", record}, way.args...),
					Env:  []string{"F=" + file},
				})
				if way.stop != nil {
					way.stop(t, b)
				}
				b.WantCode(t, way.code)
				if got := harness.Content(file); got != way.wants+"\n" {
					t.Errorf("the hook wrote %q, want the one line %q; brood said:\n%s", got, way.wants, b.Stderr)
				}
			})
		})
	}
}

func TestAHookThatHangsIsEndedInsideTheBudget(t *testing.T) {
	for name, hang := range map[string]struct {
		args []string
		code int
	}{
		"prepare":                       {[]string{"--prepare=sleep 300", "--", "sleep", "300"}, 0},
		"a prepare that ignores TERM":   {[]string{"--prepare=sh -c 'trap \"\" TERM; sleep 300; sleep 300'", "--", "sleep", "300"}, 0},
		"finish":                        {[]string{"--finish=sleep 300", "--finish-timeout=300ms", "--", "sleep", "300"}, 124},
		"a finish with children":        {[]string{"--finish=sh -c 'sleep 300 & setsid -f sleep 300; sleep 300'", "--finish-timeout=300ms", "--", "sleep", "300"}, 124},
		"the hook for an ended worker":  {[]string{"--on-worker-exit=sleep 300", "--", "sleep", "300"}, 0},
		"prepare and finish, both hang": {[]string{"--prepare=sleep 300", "--finish=sleep 300", "--finish-timeout=300ms", "--", "sleep", "300"}, 124},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				b := m.Start(t, append([]string{"-n1", "--stop-timeout=2s", "--log-level=debug"}, hang.args...)...)
				if strings.Contains(name, "prepare") {
					b.WaitLog(`msg="hook started"`)
				} else {
					b.WaitRunning(1)
				}
				began := time.Now()
				b.Stop(t, hang.code)
				wantWithin(t, 2*time.Second, began)
			})
		})
	}
}

func TestTheExitHookKnowsWhoEndedHowAndDelaysNoRestart(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "hook")
		hook := `sh -c 'echo "$BROOD_SLOT $BROOD_INCARNATION code=$BROOD_EXIT_CODE signal=$BROOD_SIGNAL reason=$BROOD_REASON" >>$F; exec sleep 300'`
		b := m.StartWith(t, harness.Options{
			Args: []string{"-n1", "--restart-backoff=1ms..1ms", "--on-worker-exit", hook, "--", "sleep", "300"},
			Env:  []string{"F=" + file},
		})
		first := b.Slot(1)
		_ = harness.Kill(first, syscall.SIGKILL)
		second := b.SlotAfter(1, first) // although the hook of the first still runs
		if got, want := harness.File(t, file), "1 1 code=137 signal=SIGKILL reason=signaled\n"; got != want {
			t.Errorf("the hook wrote %q, want %q", got, want)
		}
		if !harness.Alive(second) {
			t.Error("the second worker is dead")
		}
		b.Stop(t, 0)
	})
}

func TestNoWorkerStartsAfterAStopDuringPrepare(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n1", "--log-level=debug", "--prepare", "sh -c 'trap \"exit 0\" TERM; echo x >prepared; while :; do sleep 0.01; done'",
				"--", "sh", "-c", "echo x >worked",
			},
			Dir: dir,
		})
		harness.File(t, filepath.Join(dir, "prepared"))
		b.Stop(t, 0)
		if _, err := os.Stat(filepath.Join(dir, "worked")); err == nil {
			t.Error("a worker was started")
		}
	})
}
