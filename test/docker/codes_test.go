package docker_test

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
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

// These are not brood's: it has not run, and has logged nothing.
func TestTheEngineHasCodesOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flags string
		want  int
	}{
		{"--entrypoint /nowhere", 127},
		{"--entrypoint /not-executable", 126},
		{"--network no-such-network", 125},
		{"--no-such-flag", 125},
	} {
		t.Run(test.flags, func(t *testing.T) {
			t.Parallel()
			image, c := need(t), &container{t: t, name: thisRun + "-" + strconv.FormatInt(containers.Add(1), 10)}
			t.Cleanup(func() { _, _ = tryDocker("rm", "--force", c.name) }) // some have not even been created
			out, err := exec.Command(dockerCLI(), append(c.flags(test.flags), image)...).CombinedOutput()
			var failed *exec.ExitError
			if !errors.As(err, &failed) || failed.ExitCode() != test.want || strings.Contains(string(out), "msg=exiting") {
				t.Errorf("docker run: %v, want %d: %s", err, test.want, out)
			}
		})
	}
}

func TestTheEngineRestartsWhatHasEndedByItselfWhereItAlwaysDoes(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"always", "unless-stopped"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			c := run(t, "--restart "+policy, "-n1 -- /guest settle 2")
			c.await(1, "ready") // before that the engine's own process might get the signal, and end with 2
			if n := c.state().RestartCount; n != 2 {
				t.Errorf("the engine has restarted it %d times, want 2", n)
			}
			c.stops(0)
		})
	}
}

// The engine takes each signal of docker kill for an end that is wanted, unless
// the image says which signal that is.
func TestAReloadBySignalDoesNotEndTheRestartsOfAnImageWithAStopSignal(t *testing.T) {
	t.Parallel()
	c := run(t, "--stop-signal SIGTERM --restart always", "-n1 --ready 0 -- /guest serve")
	c.await(1, "ready")
	c.signal("HUP")
	c.await(2, "ready")
	_, _ = tryDocker("exec", c.name, "/brood", "stop") // it may end with the container, too
	until(t, "the engine has restarted it", func() bool { return c.state().RestartCount == 1 })
	c.await(3, "ready")
	c.stops(0)
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
