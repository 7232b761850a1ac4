package harness

import (
	"testing"
	"time"
)

// Fatal is how long anything may take before a test fails. Nothing waits for
// it in vain: it is long because the machine may be busy.
const Fatal = 30 * time.Second

// Until polls until is() holds, and fails the test when it never does.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	if !Within(Fatal, is) {
		t.Fatalf("it never came about that %s", what)
	}
}

// Within polls until is() holds, at most for d, and reports whether it did.
func Within(d time.Duration, is func() bool) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		if is() {
			return true
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return is()
		}
	}
}

// Never polls for d and fails the test if is() holds at any time.
func Never(t testing.TB, d time.Duration, what string, is func() bool) {
	t.Helper()
	if Within(d, is) {
		t.Errorf("it came about that %s", what)
	}
}
