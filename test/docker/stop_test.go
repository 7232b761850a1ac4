package docker_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestDockerStopEndsTheWorkersThenRunsTheHook(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n3 --finish '/guest say all have ended' -- /guest serve 400ms")
	c.await(3, "ready")
	if took := c.stops(0); took < 400*time.Millisecond || took > 6*time.Second { // well below the budget of 9 s
		t.Errorf("docker stop took %s for workers that take 400ms", took)
	}
	c.wants(3, "got TERM")
	c.wants(3, "drained")
	c.wants(1, "all have ended")
	c.wantsOrder("got TERM", "drained", "all have ended")
	c.wantsOrder("msg=stopping", `msg="worker exited"`, `msg="hook finished"`, "msg=exiting code=0 reason=requested")
}

// The engine's ten seconds are enough for all of it, also when nobody listens.
func TestWorkersThatIgnoreTheStopAreKilledBeforeTheEngineKillsBrood(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n2 --finish '/guest say all have ended' -- /guest ignore")
	c.await(2, "ready")
	if took := c.stops(137); took > 9700*time.Millisecond {
		t.Errorf("docker stop took %s, and kills after 10s", took)
	}
	c.wants(1, "grace over", "workers=2")
	c.wants(1, "all have ended")
	c.wants(1, "msg=exiting code=137 reason=killed")
}

func TestAStopThatTakesLongerThanTheEngineAllowsIsAKill(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n2 --stop-timeout 30s -- /guest ignore")
	c.await(2, "ready")
	if took := c.stops(137, "--time", "1"); took < time.Second || took > 5*time.Second {
		t.Errorf("docker stop --time 1 took %s", took)
	}
	if c.state().OOMKilled {
		t.Error("the engine takes its own kill for one by lack of memory")
	}
	c.wants(0, "msg=exiting")
}

func TestTheStopSignalOfTheImageReachesTheWorkers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ docker, brood, want string }{
		{"SIGINT", "", "got INT"},
		{"SIGQUIT", "", "got QUIT"},
		{"SIGQUIT", "--stop-signal TERM", "got TERM"},
		{"RTMIN+3", "--signal RTMIN+3=stop", "got RTMIN+3"},
		{"RTMIN+3", "--signal RTMIN+3=stop --stop-signal INT", "got INT"},
	} {
		t.Run(strings.TrimSpace(test.docker+" "+test.brood), func(t *testing.T) {
			t.Parallel()
			c := run(t, "--stop-signal "+test.docker, "-n2 "+test.brood+" -- /guest serve")
			c.await(2, "ready")
			c.stops(0)
			c.wants(2, "got ")
			c.wants(2, test.want)
		})
	}
}

func TestOtherSignalsAreForwardedOneToOne(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n2 --signal HUP=forward -- /guest serve")
	c.await(2, "ready")
	for _, name := range []string{"HUP", "USR1", "USR2", "WINCH", "CONT"} {
		c.signal(name)
		c.await(2, "got "+name)
	}
	c.stops(0)
	for _, name := range []string{"HUP", "USR1", "USR2", "WINCH", "CONT", "TERM"} {
		c.wants(2, "got "+name)
	}
}

func TestASignalToTheAttachedCommandReachesTheWorkers(t *testing.T) {
	t.Parallel()
	image, c := need(t), create(t)
	var said lines
	attached := exec.Command(dockerCLI(), append(c.flags(""), image, "-n2", "--", "/guest", "serve")...)
	attached.Stdout, attached.Stderr = &said, &said
	ended := start(t, attached)
	said.await(t, 2, "ready")
	interrupt(t, attached)
	until(t, "the attached command ends", func() bool { return isClosed(ended) })
	if code := attached.ProcessState.ExitCode(); code != 0 {
		t.Errorf("docker run ended with %d, want 0", code)
	}
	if n := strings.Count(said.String(), "got INT"); n != 2 {
		t.Errorf("the workers got %d INT, want 2:\n%s", n, &said)
	}
}

// What docker exec has started is no descendant of brood's.
func TestTheSweepSparesWhatDockerExecHasStarted(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n1 --finish '/guest ps' -- /guest orphans 3")
	c.await(1, "ready")
	var said lines
	visitor := exec.Command(dockerCLI(), "exec", c.name, "/guest", "serve", "1h")
	visitor.Stdout, visitor.Stderr = &said, &said
	ended := start(t, visitor)
	said.await(t, 1, "ready")
	c.stops(0)
	until(t, "the exec ends with its container", func() bool { return isClosed(ended) })
	if strings.Contains(said.String(), "got ") {
		t.Errorf("the exec was signalled:\n%s", &said)
	}
	// The hook runs after the sweep, and has seen it alive.
	c.wants(1, "state=S", "command=/guest serve 1h")
	c.wants(0, "command=/guest brief")
}

func TestAVisitorIsToldOfTheStopWhileItLasts(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n2 -- /guest serve 4s")
	c.await(2, "ready")
	c.awaitReady()
	stop := exec.Command(dockerCLI(), "stop", c.name)
	ended := start(t, stop)
	c.await(2, "got TERM")
	if said, err := tryDocker("exec", c.name, "/brood", "health"); err == nil {
		t.Errorf("a brood that stops says %q of its readiness", said)
	}
	c.exec("/brood", "health", "--live")
	if all := c.exec("/guest", "ps"); strings.Count(all, "command=/guest serve 4s") != 2 {
		t.Errorf("the workers are no more:\n%s", all)
	}
	until(t, "docker stop ends", func() bool { return isClosed(ended) })
	c.ends(0)
	c.wants(2, "drained")
}

// All deadlines are over when it goes on, and nobody has missed one.
func TestWhatAPauseHasMadeLateIsNotHeldAgainstWorkers(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n4 --ready notify --watchdog 2s -- /guest ping")
	c.await(4, "ready")
	c.awaitReady()
	docker(t, "pause", c.name)
	paused := time.Now()
	until(t, "5 s are over", func() bool { return time.Since(paused) > 5*time.Second })
	docker(t, "unpause", c.name)
	went := time.Now()
	until(t, "twice the watchdog's time is over", func() bool { return time.Since(went) > 4*time.Second })
	c.exec("/brood", "health")
	c.stops(0)
	c.wants(4, `msg="worker started"`)
	c.wants(0, "stuck")
}

func TestAPausedContainerStopsAsIfItHadNotBeen(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n2 -- /guest serve")
	c.await(2, "ready")
	docker(t, "pause", c.name)
	docker(t, "unpause", c.name)
	if took := c.stops(0); took > 6*time.Second { // well below the budget of 9 s
		t.Errorf("docker stop took %s", took)
	}
	c.wants(0, "incarnation=2")
}

// awaitReady waits until brood says that its workers are ready.
func (c *container) awaitReady() {
	c.t.Helper()
	until(c.t, "brood is ready", func() bool {
		_, err := tryDocker("exec", c.name, "/brood", "health")
		return err == nil
	})
}
