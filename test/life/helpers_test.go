package life_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func touch(t *testing.T, path string) {
	t.Helper()
	write(t, path, "x\n")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantLines checks how many lines of a text end with a word.
func wantLines(t *testing.T, text, word string, want int) {
	t.Helper()
	got := 0
	for line := range strings.Lines(text) {
		if strings.HasSuffix(strings.TrimSpace(line), word) {
			got++
		}
	}
	if got != want {
		t.Errorf("%d lines end with %q, want %d, of:\n%s", got, word, want, text)
	}
}

// wantWithin checks that a stop has kept its budget, and did not wait for what
// it waits for in vain: that takes minutes. To the millisecond the engine's tests
// check the budget, in fake time; a loaded machine may add some.
func wantWithin(t *testing.T, budget time.Duration, began time.Time) {
	t.Helper()
	if took := time.Since(began); took > budget+3*time.Second {
		t.Errorf("a stop with a budget of %s took %s", budget, took)
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
