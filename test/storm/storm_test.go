// Package storm_test counts whether anything is lost when very much ends at
// once. BROOD_TEST_FULL=1 makes it 20,000 workers and 100,000 orphans.
package storm_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	slots       = 8
	orphansEach = 5
)

// work makes orphans and ends with a code that tells which incarnation it was,
// until there is a gate.
const work = `
test -e $GATE && exec sleep 300
i=0
while [ $i -lt 5 ]; do
	(true &)
	i=$((i+1))
done
exit $(( (BROOD_SLOT * 31 + BROOD_INCARNATION) % 200 + 1 ))
`

// wantCode is what work ends with.
func wantCode(slot, incarnation int) int { return (slot*31+incarnation)%200 + 1 }

func TestInAStormNothingIsLostOrMixedUp(t *testing.T) {
	exits := 240
	if harness.Full() {
		exits = 20_000
	}
	for _, m := range harness.Modes {
		t.Run(m.String(), func(t *testing.T) { storm(t, m, exits) })
	}
}

func storm(t *testing.T, m harness.Mode, exits int) {
	m.Need(t)
	gate := filepath.Join(t.TempDir(), "gate")
	began := time.Now()
	b := m.StartWith(t, harness.Options{
		Args: []string{
			fmt.Sprint("-n", slots), "--log-level=debug", "--leftovers=keep",
			"--restart-backoff=1ms..1ms", "--max-restarts=100000/1s", "--", "sh", "-c", work,
		},
		Env: []string{"GATE=" + gate},
	})
	for deadline := time.Now().Add(20 * time.Minute); b.Stderr.Count(`msg="worker exited"`) < exits; {
		if b.HasEnded() || time.Now().After(deadline) {
			t.Fatalf("the storm does not come to its end; the last lines:\n%s", lastLines(b, 20))
		}
		<-time.After(200 * time.Millisecond)
	}
	took := time.Since(began)
	if err := harness.Touch(gate); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, "all workers sleep, and brood knows of them", func() bool {
		known := 0
		for _, line := range b.Stderr.All() {
			switch {
			case strings.Contains(line, `msg="worker started"`):
				known++
			case strings.Contains(line, `msg="worker exited"`):
				known--
			}
		}
		if known != slots {
			return false
		}
		children := harness.Children(b.PID)
		for _, c := range children {
			if c.Comm != "sleep" {
				return false
			}
		}
		return len(children) == slots
	})
	b.Stop(t, 0)

	ended := checkCodes(t, b)
	orphans := 0
	for _, n := range b.LogNumbers("count", "orphans reaped") {
		orphans += n
	}
	if want := ended * orphansEach; orphans != want {
		t.Errorf("%d orphans were reaped, want %d", orphans, want)
	}
	if line := b.Stderr.Find("log lines dropped"); line != "" {
		t.Errorf("the count is worth nothing: %s", line)
	}
	t.Logf("%d workers and %d orphans in %s", ended, orphans, took.Round(time.Millisecond))
}

// checkCodes follows each slot's story in the log: every start has its end,
// with its own code. It returns the number of ends before the stop.
func checkCodes(t *testing.T, b *harness.Brood) (ended int) {
	t.Helper()
	type incarnation struct{ pid, number int }
	running := make(map[int]incarnation)
	for _, line := range b.Stderr.All() {
		if strings.Contains(line, "msg=stopping") {
			break
		}
		slot, pid := value(line, "slot"), value(line, "pid")
		switch {
		case strings.Contains(line, `msg="worker started"`):
			if old, ok := running[slot]; ok {
				t.Errorf("slot %d: incarnation %d was never seen to end", slot, old.number)
			}
			running[slot] = incarnation{pid, value(line, "incarnation")}
		case strings.Contains(line, `msg="worker exited"`):
			w := running[slot]
			delete(running, slot)
			if code := value(line, "code"); w.pid != pid || code != wantCode(slot, w.number) {
				t.Errorf("slot %d, incarnation %d: %s; want code %d of process %d", slot, w.number, line, wantCode(slot, w.number), w.pid)
			}
			ended++
		}
	}
	if len(running) != slots {
		t.Errorf("%d workers ran at the stop, want %d", len(running), slots)
	}
	return ended
}

func lastLines(b *harness.Brood, n int) string {
	all := b.Stderr.All()
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

func value(line, key string) int {
	_, after, _ := strings.Cut(line, " "+key+"=")
	word, _, _ := strings.Cut(after, " ")
	n, _ := strconv.Atoi(word)
	return n
}
