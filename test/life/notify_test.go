package life_test

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestAWorkerSaysItselfWhenItIsReady(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		gate := filepath.Join(t.TempDir(), "gate")
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n2", "--ready", "notify", "--ready-timeout", "20s", "--", "sh", "-c",
				// The one that speaks is a child of the worker.
				"worker notify 'STATUS=warming up' 0s; until test -e $GATE; do sleep 0.02; done; worker notify READY=1 0s; exec sleep 300",
			},
			Env: []string{"GATE=" + gate},
		})
		b.WaitRunning(2)
		harness.Until(t, "both say what they do", func() bool {
			said, _ := ask(t, b, "status", "-o", "wide")
			return strings.Count(said, "warming up") == 2
		})
		if said, code := ask(t, b, "health"); code != 1 {
			t.Errorf("health has code %d: %s", code, said)
		}
		touch(t, gate)
		harness.Until(t, "both are ready", func() bool { _, code := ask(t, b, "health"); return code == 0 })
		b.Stop(t, 0)
	})
}

// What it says is seen, and a reload waits for it beyond the grace, of 4 s here.
func TestAWorkerThatAsksForTimeIsNotKilled(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--ready", "notify", "--stop-timeout", "20s", "--drain-delay", "15s", "--", "sh", "-c",
			"trap 'test $BROOD_INCARNATION = 1 && worker notify EXTEND_TIMEOUT_USEC=19000000 5s; exit 0' TERM; "+
				"worker notify READY=1 0s; worker notify RELOADING=1 0s; while :; do sleep 0.05; done")
		reloading := func() bool {
			said, code := ask(t, b, "status")
			return code == 0 && strings.Contains(said, "  reloading  yes")
		}
		harness.Until(t, "it reloads itself", reloading)
		if said, code := ask(t, b, "reload"); code != 0 || !strings.Contains(said, "worker takes longer to end slot=1") {
			t.Errorf("the reload ended with %d: %s", code, said)
		}
		b.WaitLog("worker exited", "code=0", "reason=stopped")
		harness.Until(t, "the next one does too", reloading)
		b.Signal(syscall.SIGTERM)
		b.WaitLog("stopping")
		<-time.After(200 * time.Millisecond) // later than a doubled signal
		b.Stop(t, 0)
	})
}

func TestAWorkerThatFeedsNoWatchdogIsAborted(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--ready", "10ms", "--watchdog", "300ms", "--restart", "never", "--", "sleep", "300")
		b.WantCode(t, 134)
		b.WaitLog("worker is stuck", "WATCHDOG=1")
		b.WaitLog("worker exited", "signal=SIGABRT", "reason=stuck")
	})
}

// What brood is asked to do by its own manager is brood's business.
func TestBroodTellsItsOwnManager(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		path := filepath.Join(t.TempDir(), "manager.sock")
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := m.StartWith(t, harness.Options{
			Args: []string{"-n2", "--ready", "10ms", "--", "sleep", "300"},
			Env:  []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=400000"},
		})
		seen := map[string]int{}
		hear := func(word string) {
			t.Helper()
			buffer := make([]byte, 256)
			_ = l.SetReadDeadline(time.Now().Add(harness.Fatal))
			for seen[word] == 0 {
				n, err := l.Read(buffer)
				if err != nil {
					t.Fatalf("no %s, but %v: %v", word, seen, err)
				}
				seen[string(buffer[:n])]++
			}
		}
		hear("READY=1")
		hear("WATCHDOG=1")
		b.Stop(t, 0)
		hear("STOPPING=1")
		if seen["READY=1"] != 1 {
			t.Errorf("%v", seen)
		}
	})
}
