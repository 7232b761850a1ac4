package faults_test

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// noMemory are the two ways in which a start fails for lack of memory.
func noMemory() map[string]int {
	return map[string]int{"in the fork": unix.SYS_CLONE, "in the exec": unix.SYS_EXECVE}
}

// A worker for which there is no memory is a failed start like any other: it is
// counted, tried again ever more rarely, and for none of the others is anything
// different. When there is memory it runs.
func TestAStartWithoutMemoryIsTriedAgain(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for name, call := range noMemory() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				refusal, address := harness.NewRefusal(t), harness.Address(t)
				b := m.StartWith(t, harness.Options{Refusal: refusal, Args: []string{
					"-n2", "--metrics-addr", address, "--restart-backoff=100ms..400ms", "--max-restarts=1000/1s", "--", "sleep", "300",
				}})
				first, second := b.Slot(1), b.Slot(2)
				refusal.Refuse(call, unix.ENOMEM)
				if err := harness.Kill(second, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				harness.Until(t, "it was tried five times", func() bool { return refusal.Refused() >= 5 })
				cpu := harness.CPU(b.PID)
				moment(time.Second)
				if used := harness.CPU(b.PID) - cpu; used > 200*time.Millisecond {
					t.Errorf("brood uses %s of a second to start nothing", used)
				}
				wantFailures(t, b, refusal, address, time.Since(began))
				if !harness.Alive(first) {
					t.Error("the other worker has ended")
				}
				refusal.Allow()
				b.SlotAfter(2, second)
				b.Stop(t, 0)
			})
		}
	})
}

func page(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{Timeout: harness.Fatal, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantFailures compares what was refused with what brood says about it.
func wantFailures(t *testing.T, b *harness.Brood, refusal *harness.Refusal, address string, within time.Duration) {
	t.Helper()
	b.WaitLog("worker not started", "slot=2", "code=0", "cannot allocate memory")
	b.WaitLog("restarting worker", "slot=2", "failures=5")
	refused := refusal.Refused()
	harness.Until(t, "all that was refused is told and counted", func() bool {
		m := regexp.MustCompile(`\nbrood_worker_start_failures_total\{worker="2"\} (\d+)\n`).FindStringSubmatch(page(t, address))
		if m == nil {
			return false
		}
		counted, _ := strconv.Atoi(m[1])
		return counted >= refused && b.Stderr.Count("worker not started") >= refused
	})
	// A pause is half its full length on average.
	if most := 10 + int(within/(50*time.Millisecond)); refused > most {
		t.Errorf("brood has tried %d times in %s", refused, within)
	}
}

// A slot whose first start fails for lack of memory has no fault in its command:
// brood waits for better times.
func TestAFirstStartWithoutMemoryIsTriedAgain(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for name, call := range noMemory() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				refusal := harness.NewRefusal(t)
				b := m.StartWith(t, harness.Options{Refusal: refusal, Args: []string{
					"-n0", "--restart-backoff=10ms..50ms", "--max-restarts=1000/1s", "--", "sleep", "300",
				}})
				harness.Until(t, "brood listens to signals", func() bool {
					p, _ := harness.Look(b.PID)
					return slices.Contains(p.SignalSet("SigCgt"), int(syscall.SIGTTIN))
				})
				refusal.Refuse(call, unix.ENOMEM)
				b.Signal(syscall.SIGTTIN)
				b.WaitLog("restarting worker", "slot=1", "failures=3")
				refusal.Allow()
				b.WaitRunning(1)
				b.Stop(t, 0)
			})
		}
	})
}

// Nothing can be started any more, not even the hook. Who asks brood to stop
// waits no longer than the budget, and is told that the hook did not run.
func TestAStopWithoutMemory(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for name, call := range noMemory() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				refusal, finished := harness.NewRefusal(t), filepath.Join(t.TempDir(), "finished")
				b := m.StartWith(t, harness.Options{Refusal: refusal, Args: []string{
					"-n2", "--restart-backoff=1ms..2ms", "--max-restarts=10000/1s", "--stop-timeout", hangBudget.String(),
					"--finish", "sh -c 'echo x >>" + finished + "'", "--", "sleep", "300",
				}})
				second := b.Slot(2)
				refusal.Refuse(call, unix.ENOMEM)
				if err := harness.Kill(second, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				b.WaitLog("worker not started", "slot=2")
				wantWithin(t, b, hangBudget, 126)
				b.WaitLog("hook not started", "hook=finish", "cannot allocate memory")
				if text := harness.Content(finished); strings.Contains(text, "x") {
					t.Error("the hook has run")
				}
			})
		}
	})
}
