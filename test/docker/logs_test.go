package docker_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestBroodOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	image, c := need(t), create(t)
	var said lines
	attached := exec.Command(dockerCLI(), append(c.flags("--log-driver none"), image, "-n2", "--", "/guest", "quit", "7")...)
	attached.Stdout, attached.Stderr = &said, &said
	ended := start(t, attached)
	said.await(t, 2, "ready")
	_ = attached.Process.Kill()
	until(t, "the reader is gone", func() bool { return isClosed(ended) })
	before := len(c.processes())
	c.signal("USR1") // brood has to write about a worker that ends
	until(t, "the worker is replaced", func() bool {
		status, err := tryDocker("exec", c.name, "/brood", "status", "-o", "json")
		return err == nil && strings.Contains(status, `"incarnation": 2`)
	})
	if after := len(c.processes()); after != before {
		t.Errorf("%d processes run, %d before", after, before)
	}
	if took := c.stops(0); took > 6*time.Second { // well below the budget of 9 s
		t.Errorf("docker stop took %s", took)
	}
}

func TestAFloodOfOutputNeitherStopsBroodNorIsCutShort(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n2 -- /guest flood 2")
	c.await(2, "ready")
	c.stops(0)
	c.wants(2*2<<10, strings.Repeat("x", 1023))
	c.wants(2, "got TERM")
}
