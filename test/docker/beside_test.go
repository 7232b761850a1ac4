package docker_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestUnderTheEnginesOwnInitOrphansStillComeToBrood(t *testing.T) {
	t.Parallel()
	c := run(t, "--init", "-n2 -- /guest orphans 3")
	c.await(2, "ready")
	pid := c.brood()
	if pid == 1 {
		t.Error("brood is PID 1 although the engine was asked for an init")
	}
	c.await(6, fmt.Sprintf("orphan of %d ends", pid))
	c.wantsNoZombies()
	c.stops(0)
	c.wants(2, "got TERM")
}

func TestAsPID1BroodReapsOrphans(t *testing.T) {
	t.Parallel()
	c := run(t, "", "-n2 -- /guest orphans 20")
	c.await(40, "orphan of 1 ends")
	c.wantsNoZombies()
	c.stops(0)
}

// With the machine's processes around it brood is one of many.
func TestAmongTheProcessesOfTheMachineBroodStopsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	other := run(t, "", "-n1 -- /guest serve")
	other.await(1, "ready")
	c := run(t, "--pid host", "-n2 -- /guest orphans 2")
	c.await(2, "ready")
	pid := c.value("pid", "msg=starting")
	if pid == "1" {
		t.Error("brood is PID 1 of the machine")
	}
	c.await(4, fmt.Sprintf("orphan of %s ends", pid))
	c.stops(0)
	c.wants(2, "got TERM")
	c.wants(0, "level=ERROR")
	if said := other.said(); strings.Contains(said, "got ") {
		t.Errorf("a worker of another container was signalled:\n%s", said)
	}
	other.stops(0)
}

// Several containers in one PID namespace, as in a pod that shares it.
func TestInTheNamespaceOfAnotherContainerBroodStopsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	host := run(t, "", "-n1 -- /guest serve")
	host.await(1, "ready")
	guest := run(t, "--pid container:"+host.name, "-n2 -- /guest orphans 2")
	guest.await(2, "ready")
	first := guest.value("pid", "msg=starting")
	if first == "1" {
		t.Error("brood is PID 1 in a namespace that has one")
	}
	guest.await(4, fmt.Sprintf("orphan of %s ends", first))
	guest.stops(0)
	guest.wants(2, "got TERM")
	if said := host.said(); strings.Contains(said, "got ") {
		t.Errorf("a worker of the other container was signalled:\n%s", said)
	}
	host.wantsNoZombies()
	host.stops(0)
}
