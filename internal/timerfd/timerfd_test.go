package timerfd_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/brood-init/brood/internal/timerfd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTimer(t *testing.T) *timerfd.Timer {
	t.Helper()
	timer, err := timerfd.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = timer.Close() })
	return timer
}

func TestItFiresOncePerSet(t *testing.T) {
	timer := newTimer(t)
	for _, d := range []time.Duration{time.Millisecond, 30 * time.Millisecond} {
		began := time.Now()
		if err := timer.Set(d); err != nil {
			t.Fatal(err)
		}
		if err := timer.Wait(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < d {
			t.Errorf("set to %s it fired after %s", d, took)
		}
	}
}

func TestTheLastSetCounts(t *testing.T) {
	timer := newTimer(t)
	if err := errors.Join(timer.Set(time.Hour), timer.Set(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := timer.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestCloseEndsAWait(t *testing.T) {
	timer := newTimer(t)
	if err := timer.Set(time.Hour); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- timer.Wait() }()
	if err := timer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the wait ended with %v", err)
	}
	if err := timer.Set(time.Second); !errors.Is(err, os.ErrClosed) {
		t.Errorf("set after the end: %v", err)
	}
}
