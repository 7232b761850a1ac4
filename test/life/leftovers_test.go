package life_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// The first worker ends and leaves a process that holds the service's address;
// its successor needs it.
const leavesTheHolder = `
if [ $BROOD_INCARNATION = 1 ]; then
	trap "$DEAF" TERM
	worker hold $TEST_MARK $F &
	until test -s $F; do sleep 0.01; done
	exit 3
fi
exec worker hold $TEST_MARK $F.next
`

func TestWhatADeadWorkerLeftIsGoneBeforeTheNextOneStarts(t *testing.T) {
	for name, deaf := range map[string]string{"it heeds TERM": ":", "it ignores TERM": ""} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				file := filepath.Join(t.TempDir(), "held")
				b := m.StartWith(t, harness.Options{
					Args: []string{"-n1", "--restart-backoff=1ms..1ms", "--", "sh", "-c", leavesTheHolder},
					Env:  []string{"F=" + file, "DEAF=" + deaf},
				})
				if got := harness.File(t, file+".next"); !strings.Contains(got, "holds") {
					t.Errorf("the successor said %q", got)
				}
				b.Stop(t, 0)
				if n := b.Stderr.Count(`msg="worker started"`); n != 2 {
					t.Errorf("%d workers were started, want 2:\n%s", n, b.Stderr)
				}
			})
		})
	}
}

func TestLeftoversCanBeKept(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n1", "--leftovers=keep", "--restart-backoff=1ms..1ms", "--", "sh", "-c",
				"test $BROOD_INCARNATION = 2 && exec sleep 300; worker slow $F 200ms & until test -s $F; do sleep 0.01; done; exit 3",
			},
			Env: []string{"F=" + file},
		})
		b.WaitRunning(2)
		apart(t)
		wantLines(t, harness.Content(file), "term", 0)
		// In the end it is a straggler like any other.
		b.Stop(t, 0)
		wantLines(t, harness.Content(file), "term", 1)
		wantLines(t, harness.Content(file), "cleaned", 1)
	})
}

func TestALeftoverDuringAStopIsAskedOnce(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.StartWith(t, harness.Options{
			Args: []string{
				"-n1", "--group", "--", "sh", "-c",
				"worker slow $F 400ms & until test -s $F; do sleep 0.01; done; exec sleep 300",
			},
			Env: []string{"F=" + file},
		})
		harness.File(t, file)
		b.Signal(syscall.SIGTERM)
		b.WantCode(t, 0)
		wantLines(t, harness.Content(file), "term", 1)
		wantLines(t, harness.Content(file), "cleaned", 1)
	})
}
