package docker_test

import (
	"strings"
	"testing"
)

// A container with everything taken away that the engine can take.
func TestBroodNeedsNoRights(t *testing.T) {
	t.Parallel()
	const bare = "--user 1234:5678 --read-only --cap-drop ALL --security-opt no-new-privileges "
	for _, test := range []struct{ name, flags, directory string }{
		{"a root without a /run", "", "/dev/shm/brood-0-"},
		{"another user", "--user 1234:5678", "/dev/shm/brood-1234-"},
		{"a read-only root", "--read-only", "/dev/shm/brood-0-"},
		{"a read-only root with a /run", "--read-only --tmpfs /run", "/run/brood/"},
		{"no right at all", bare, "/dev/shm/brood-1234-"},
		{"no right but a directory", bare + "--tmpfs /run/brood:uid=1234,mode=0755", "/run/brood/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := run(t, test.flags, "-n2 --finish '/guest say all have ended' -- /guest orphans 2")
			c.await(2, "ready")
			if file := c.value("pidfile", "msg=starting"); !strings.HasPrefix(file, test.directory) {
				t.Errorf("the PID files are %s, want them in %s", file, test.directory)
			}
			until(t, "brood status finds both ready", func() bool {
				_, err := tryDocker("exec", c.name, "/brood", "status")
				return err == nil
			})
			c.await(4, "orphan of")
			c.wantsNoZombies()
			c.stops(0)
			c.wants(2, "got TERM")
			c.wants(1, "all have ended")
			c.wants(0, "level=WARN")
			c.wants(0, "level=ERROR")
		})
	}
}

func TestWorkersHaveTheRightsOfTheContainer(t *testing.T) {
	t.Parallel()
	c := run(t, "--user 1234:5678 --cap-drop ALL --security-opt no-new-privileges", "-n1 -- /guest self")
	c.await(1, "ready")
	for _, want := range []string{"Uid=1234", "Gid=5678", "CapEff=0000000000000000", "NoNewPrivs=1"} {
		c.wants(1, want)
	}
	c.stops(0)
}

// wantsNoZombies looks until there are none: one that has just ended is not
// one that is left.
func (c *container) wantsNoZombies() {
	c.t.Helper()
	until(c.t, "no zombie is left", func() bool {
		for _, p := range c.processes() {
			if p.state == "Z" {
				return false
			}
		}
		return true
	})
}
