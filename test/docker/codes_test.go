package docker_test

import (
	"strconv"
	"testing"
)

func TestExitCodesArePassedThrough(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		words string
		want  int
	}{
		{"--restart never -- /guest exit 0", 0},
		{"--restart never -- /guest exit 1", 1},
		{"--restart never -- /guest exit 42", 42},
		{"--restart never -- /guest exit 125", 125},
		{"--restart never -- /guest exit 126", 126},
		{"--restart never -- /guest exit 127", 127},
		{"--restart never -- /guest die KILL", 137},
		{"--restart never -- /guest die TERM", 143},
		{"--restart never --exit-code 143=0 -- /guest die TERM", 0},
		{"-- /nowhere", 127},
		{"-- /not-executable", 126},
		{"--processes many -- /guest serve", 2},
	} {
		t.Run(test.words, func(t *testing.T) {
			t.Parallel()
			run(t, "", "-n1 "+test.words).ends(test.want)
		})
	}
}

func TestTheEngineRestartsAfterAFailureOnly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		code     int
		restarts int
	}{
		{"a failure", 3, 2},
		{"the end of the work", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, "--restart on-failure:2", "-n1 --restart never -- /guest exit "+strconv.Itoa(test.code))
			until(t, "the engine gives up", func() bool {
				s := c.state()
				return !s.Running && s.Status == "exited" && s.RestartCount == test.restarts
			})
			if s := c.state(); s.ExitCode != test.code {
				t.Errorf("the container ended with %d, want %d", s.ExitCode, test.code)
			}
			c.wants(test.restarts+1, "msg=exiting")
		})
	}
}

// A crash budget that is used up is for the engine to see.
func TestTheEngineRestartsABroodThatHasGivenUp(t *testing.T) {
	t.Parallel()
	c := run(t, "--restart on-failure:1", "-n2 --restart-backoff 10ms..10ms --max-restarts 2/1m -- /guest exit 5")
	until(t, "the engine gives up", func() bool {
		s := c.state()
		return !s.Running && s.Status == "exited" && s.RestartCount == 1
	})
	if s := c.state(); s.ExitCode != 5 {
		t.Errorf("the container ended with %d, want 5", s.ExitCode)
	}
	c.wants(2, "msg=exiting code=5 reason=gave-up")
}
