package docker_test

import (
	"strings"
	"testing"
)

const (
	healthcheck = `HEALTHCHECK --interval=1s --timeout=5s --start-period=1s --retries=2 CMD ["/brood", "health"]`
	livecheck   = `HEALTHCHECK --interval=1s --timeout=5s --start-period=1s --retries=2 CMD ["/brood", "health", "--live"]`
)

// imageWith returns an image with one more instruction.
func imageWith(t testing.TB, tag, instruction string) string {
	t.Helper()
	need(t)
	name, err := importImage(tag, instruction)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func (c *container) becomes(health string) {
	c.t.Helper()
	until(c.t, "the container is "+health, func() bool { return c.state().Health.Status == health })
}

// Nothing but brood is in the image that could ask.
func TestTheEngineKnowsWhetherWorkersAreReady(t *testing.T) {
	t.Parallel()
	image := imageWith(t, "health", healthcheck)
	for _, flags := range []string{"", "--user 65532:65532 --read-only --cap-drop ALL --security-opt no-new-privileges"} {
		t.Run("docker run "+flags, func(t *testing.T) {
			t.Parallel()
			c := runImage(t, image, flags, "-n2 --restart never --ready-min 2 -- /guest quit 7")
			c.becomes("healthy")
			c.signal("USR1")
			c.becomes("unhealthy")
			checks := c.state().Health.Log
			last := checks[len(checks)-1]
			if last.ExitCode != 1 || strings.TrimSpace(last.Output) == "" {
				t.Errorf("the check ended with %d and said %q", last.ExitCode, last.Output)
			}
			c.stops(0)
		})
	}
}

func TestABroodWhoseWorkersAreNotReadyIsAliveAllTheSame(t *testing.T) {
	t.Parallel()
	c := runImage(t, imageWith(t, "live", livecheck), "", "-n2 --restart never --ready-min 2 -- /guest quit 7")
	c.await(2, "ready")
	c.signal("USR1")
	c.await(1, "worker exited", "code=7")
	c.becomes("healthy")
	if _, err := tryDocker("exec", c.name, "/brood", "health"); err == nil {
		t.Error("brood health is content without the ready workers that it wants")
	}
	c.stops(0)
}
