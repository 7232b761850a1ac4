package life_test

import (
	"fmt"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestTheExitCodeIsTheWorkers(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for _, code := range []int{0, 1, 2, 32, 64, 127, 254, 255} {
			b := m.Start(t, "-n1", "--restart", "never", "--", "worker", "exit", fmt.Sprint(code))
			b.WantCode(t, code)
		}
	})
}

func TestAWorkerKilledByASignalIs128AndItsNumber(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for _, sig := range []int{1, 2, 3, 6, 9, 11, 15, 31, 34, 64} {
			b := m.Start(t, "-n1", "--restart", "never", "--", "sh", "-c", fmt.Sprintf("kill -%d $$", sig))
			b.WantCode(t, 128+sig)
		}
	})
}
