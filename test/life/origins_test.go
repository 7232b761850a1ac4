package life_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/test/internal/harness"
)

// leaking has three children in slot 1 that nobody waits for, since sleep does
// not, and a daemon. They come last: the shell waits for all when it waits for one. The worker in slot 2 does all right.
const leaking = `
test $BROOD_SLOT = 2 && exec sleep 300
(setsid sh -c 'echo $$ >$DAEMON; exec sleep 300' &)
(true &)
(sh -c '(true &)' &)
true & true & true &
exec sleep 300
`

func TestWhoseOrphansAndZombiesTheyAreIsKnown(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		address, daemon := harness.Address(t), filepath.Join(t.TempDir(), "daemon")
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n2", "--metrics-addr", address, "--prepare", "sh -c '(true &); (setsid true &)'", "--log-level=debug", "--", "sh", "-c", leaking,
			},
			Env: []string{"DAEMON=" + daemon},
		})
		b.WaitRunning(2)
		inner := harness.File(t, daemon)
		page := func(want ...string) {
			t.Helper()
			harness.Until(t, fmt.Sprintf("the page has %q", want), func() bool {
				text := get(t, address, "/metrics")
				for _, line := range want {
					if !strings.Contains(text, line+"\n") {
						return false
					}
				}
				return true
			})
		}
		// The first look at all processes may have been too early for its zombies.
		page(`brood_worker_zombies{worker="1"} 3`, `brood_worker_adopted_processes{worker="1"} 1`,
			`brood_worker_zombies{worker="2"} 0`, `brood_worker_adopted_processes{worker="2"} 0`,
			`brood_worker_orphans_reaped_total{worker="1"} 3`, `brood_worker_orphans_reaped_total{worker="2"} 0`,
			`brood_reaped_orphans_total{origin="hook"} 1`, `brood_reaped_orphans_total{origin="unknown"} 1`)

		said, _ := ask(t, b, "status", "-o", "json", "1")
		var status control.Status
		if err := json.Unmarshal([]byte(said), &status); err != nil || len(status.Slots) != 1 {
			t.Fatalf("the status is %s", said)
		}
		if s := status.Slots[0]; s.OrphansReaped != 3 || s.Leaks == nil || *s.Leaks != (control.Leaks{Zombies: 3, Adopted: 1}) {
			t.Errorf("the status of slot 1 is %s", said)
		}

		// The daemon was seen alive, and so it is known when it has ended.
		if err := harness.Kill(b.Outer(number(t, inner)), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		page(`brood_worker_orphans_reaped_total{worker="1"} 4`, `brood_reaped_orphans_total{origin="worker"} 4`,
			`brood_reaped_processes_total{kind="orphan"} 6`)
		b.Stop(t, 0)
	})
}

// The worker that has left a daemon ends: nobody has asked for metrics, and
// still it is known later whose it was.
func TestTheDaemonOfAnEndedWorkerIsItsSlots(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		daemon := filepath.Join(t.TempDir(), "daemon")
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n1", "--log-level=debug", "--restart-backoff", "10ms..10ms", "--", "sh", "-c",
				`test $BROOD_INCARNATION = 2 && exec sleep 300; (setsid sh -c 'echo $$ >$DAEMON.new; mv $DAEMON.new $DAEMON; exec sleep 300' &)
				until test -e $DAEMON; do sleep 0.01; done; exit 3`,
			},
			Env: []string{"DAEMON=" + daemon},
		})
		b.WaitLog("worker started", "incarnation=2")
		text, err := os.ReadFile(daemon)
		if err != nil {
			t.Fatal(err)
		}
		harness.Until(t, "it was seen", func() bool {
			said, _ := ask(t, b, "status", "-o", "wide")
			return strings.Contains(said, "ADOPTED") && strings.Contains(strings.Join(strings.Fields(said), " "), " 0 0 1 -")
		})
		if err := harness.Kill(b.Outer(number(t, string(text))), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.WaitLog("orphans reaped", "count=1", "slots=1:1")
		b.Stop(t, 0)
	})
}
