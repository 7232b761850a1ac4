package life_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// A stop may come at any moment of the start. From the moment on at which brood
// has taken SIGTERM, the end is a clean one. Before, the default action applies:
// a child dies of the signal, and the kernel keeps it from PID 1, which goes on
// or, once the runtime is up, ends with 2. No program can do anything about it;
// the test says how long that time is.
func TestAStopAtAnyMomentOfTheStart(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		const step, last = 100 * time.Microsecond, 20 * time.Millisecond
		results := make(map[string]int)
		var clean, tooEarly []time.Duration
		for delay := time.Duration(0); delay < last; delay += step {
			result := stopAfter(t, m, delay)
			results[result]++
			if result == "clean" {
				clean = append(clean, delay)
			} else {
				tooEarly = append(tooEarly, delay)
			}
		}
		t.Logf("results: %v", results)
		if n := len(tooEarly); n > 0 {
			t.Logf("too early: %d times, the last one %s after the exec", n, slices.Max(tooEarly))
		}
		// On a busy machine brood itself may have to wait, but not each time.
		if len(clean) == 0 || slices.Min(clean) > last/2 {
			t.Errorf("that is too long: the clean ones are those after %s", clean)
		}
	})
}

// stopAfter sends SIGTERM a while after the exec and tells how brood ended.
func stopAfter(t *testing.T, m harness.Mode, delay time.Duration) (result string) {
	t.Helper()
	finished := filepath.Join(t.TempDir(), "finished")
	b := m.StartWith(t, harness.Options{
		Args:        []string{"-n3", "--finish", "sh -c 'echo x >>" + finished + "'", "--", "sleep", "300"},
		LeavesFiles: true, // one that is ended before it listens
	})
	waitForBrood(t, b)
	<-time.After(delay)
	startedBefore := b.Stderr.Find(`msg="worker started"`) != ""
	b.Signal(syscall.SIGTERM)
	mustEnd := func() bool { return startedBefore || !m.PID1 || b.Stderr.Find("msg=stopping") != "" }
	if !harness.Within(2*time.Second, b.HasEnded) && !mustEnd() {
		b.Signal(syscall.SIGTERM)
		result = "not delivered by the kernel"
	}
	code := b.Wait()
	started := b.Stderr.Find(`msg="worker started"`) != ""
	switch ran := strings.Count(harness.Content(finished), "x"); {
	case code == 2 && m.PID1:
		// The runtime was already on its way out; until its last thread gets
		// there, the others may have started workers.
		return "code 2"
	case code != 0 && !started && code == 143 && !m.PID1:
		return fmt.Sprintf("code %d", code)
	case code != 0:
		t.Errorf("stopped after %s brood ended with %d:\n%s", delay, code, b.Stderr)
	case started && ran != 1:
		t.Errorf("stopped after %s the finish hook ran %d times:\n%s", delay, ran, b.Stderr)
	case b.Stderr.Find("msg=exiting", "code=0") == "":
		t.Errorf("stopped after %s the last line is missing:\n%s", delay, b.Stderr)
	}
	if result == "" {
		result = "clean"
	}
	return result
}

// waitForBrood waits until the stage has become brood, without any pause.
func waitForBrood(t *testing.T, b *harness.Brood) {
	t.Helper()
	deadline := time.Now().Add(harness.Fatal)
	path := "/proc/" + strconv.Itoa(b.PID) + "/comm"
	for {
		if text, _ := os.ReadFile(path); string(text) == "brood\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("brood was never executed")
		}
	}
}

func TestItIsPID1ThatIsTested(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--", "sh", "-c", "echo parent=$PPID; exec sleep 300")
		want := fmt.Sprintf("parent=%d", b.PID)
		if m.PID1 {
			want = "parent=1"
		}
		if got := b.Stdout.Await(t, "parent="); got != want {
			t.Errorf("the worker says %q, want %q", got, want)
		}
		b.Stop(t, 0)
	})
}
