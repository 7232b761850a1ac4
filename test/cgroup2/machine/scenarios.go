package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

type scenario struct {
	name string
	run  func(s *scene, c *container)
}

// scenarios are performed one after the other, each with groups of its own.
var scenarios = []scenario{
	{"the number of workers is that of the limits", counts},
	{"limits of the groups around count where they can be seen", around},
	{"changed limits are followed up and down", follows},
	{"a worker out of memory is replaced and counted", outOfMemory},
	{"a worker whose child is out of memory says so", childOutOfMemory},
	{"with memory.oom.group brood warns", warns},
	{"with memory.oom.group brood dies with its worker", groupOutOfMemory},
	{"at pids.max a start fails and is tried again", outOfTasks},
	{"the metrics are those of the group", figures},
	{"no signal that Go does not know ends a brood that forks", unknownSignals},
}

// mixed are for a machine where the CPU's controller is in v1 and the others are
// in v2.
var mixed = []scenario{
	{"on a hybrid machine each limit is read where its controller is", mixedCounts},
	{"on a hybrid machine changed limits are followed", mixedFollows},
}

// check asks brood what it would do.
func (c *container) check(s *scene, want string, words ...string) {
	c.start(s, append(append([]string{"check"}, words...), "--", "/guest", "serve")...)
	c.ends(s, 0)
	for line := range strings.Lines(c.said.String()) {
		if strings.HasPrefix(line, "processes ") {
			if !strings.Contains(line, want) {
				s.wrongf("brood check %q says %q, want %q", words, strings.TrimSpace(line), want)
			}
			return
		}
	}
	s.wrongf("brood check says nothing of processes:\n%s", c.said.String())
}

func counts(s *scene, c *container) {
	for _, test := range []struct{ max, want string }{
		{"30000 100000", "processes=1 source=cgroup quota=0.3"},
		{"100000 100000", "processes=1 source=cgroup quota=1 "},
		{"150000 100000", "processes=2 source=cgroup quota=1.5"},
		{"62500 25000", "processes=3 source=cgroup quota=2.5"},
		{"800000 100000", "processes=4 source=affinity"},
		{"max 100000", "processes=4 source=affinity affinity=4"},
	} {
		c.set(s, "cpu.max", test.max)
		c.check(s, test.want)
	}
	c.set(s, "cpu.weight", "1") // a share is no limit
	c.check(s, "processes=4")
	c.set(s, "memory.max", "256M")
	c.check(s, "processes=2 source=memory", "--memory-per-process", "100MiB")
	c.set(s, "memory.max", "max", "pids.max", "10")
	c.check(s, "source=pids")
	c.set(s, "pids.max", "max")
	c.setPod(s, "cpuset.cpus", "1-2")
	c.check(s, "processes=2 source=affinity affinity=2")
}

// A container has a namespace of its own mostly, and then its root is its group:
// what its pod may use it cannot know.
func around(s *scene, c *container) {
	c.setPod(s, "cpu.max", "150000 100000", "memory.max", "256M")
	c.check(s, "processes=4 source=affinity")
	c.outside = true
	c.check(s, "processes=2 source=cgroup quota=1.5")
	c.check(s, "processes=1 source=memory", "--memory-per-process", "150MiB")
	// Of controllers that are not delegated to it, a group has no files.
	if err := c.layout.delegate(c.pod, false); err != nil {
		s.wrongf("%v", err)
	}
	c.check(s, "processes=2 source=cgroup quota=1.5")
	if err := c.layout.delegate(c.pod, true); err != nil {
		s.wrongf("%v", err)
	}
	c.set(s, "cpu.max", "50000 100000") // the smallest of all
	c.check(s, "processes=1 source=cgroup quota=0.5")
}

func follows(s *scene, c *container) {
	c.set(s, "cpu.max", "100000 100000", "memory.max", "512M")
	c.start(s, "--memory-per-process", "100MiB", "--", "/guest", "serve")
	c.await(s, 1, "slot=1 ready")
	c.set(s, "cpu.max", "300000 100000")
	c.await(s, 1, "limits changed", "from=1", "to=3")
	c.await(s, 1, "slot=3 ready")
	c.set(s, "memory.max", "150M")
	c.await(s, 1, "limits changed", "from=3", "to=1", "source=memory")
	c.await(s, 1, "slot=2 drained")
	c.await(s, 1, "slot=3 drained")
	if c.said.count("slot=1 got TERM") != 0 {
		s.wrongf("the worker in slot 1 was stopped")
	}
	c.stop(s)
}

func outOfMemory(s *scene, c *container) {
	c.set(s, "memory.max", "64M", "memory.oom.group", "0")
	c.start(s, "-n2", "--", "/guest", "hog", "200")
	c.await(s, 1, "worker exited", "slot=1", "code=137", "reason=oom")
	c.await(s, 1, "worker started", "slot=1", "incarnation=2")
	c.await(s, 2, "ready")
	wantPage(s, c, `brood_worker_exits_total{reason="oom",worker="1"} 1`, `brood_cgroup_memory_events_total{event="oom_kill"} 1`)
	if c.said.count("worker exited", "slot=2") != 0 {
		s.wrongf("the worker in slot 2 has ended as well")
	}
	c.stop(s)
}

func childOutOfMemory(s *scene, c *container) {
	c.set(s, "memory.max", "64M", "memory.oom.group", "0")
	c.start(s, "-n2", "--", "/guest", "parent", "200", "5")
	c.await(s, 1, "worker exited", "slot=1", "code=5", "reason=failed", "oom_kills=1")
	c.await(s, 2, "ready")
	c.stop(s)
	if c.said.count("memory.oom.group") != 0 {
		s.wrongf("brood warns of what is not so")
	}
}

func warns(s *scene, c *container) {
	c.set(s, "memory.max", "64M", "memory.oom.group", "1")
	c.start(s, "-n1", "--", "/guest", "serve")
	c.await(s, 1, "level=WARN", "memory.oom.group is 1", "singleProcessOOMKill")
	c.await(s, 1, "ready")
	c.stop(s)
}

func mixedCounts(s *scene, c *container) {
	c.outside = true
	cpu := c.groups()[1]
	setIn(s, cpu, "cpu.cfs_period_us", "50000", "cpu.cfs_quota_us", "75000")
	c.check(s, "processes=2 source=cgroup quota=1.5")
	setIn(s, cpu, "cpu.cfs_quota_us", "-1")
	c.check(s, "processes=4 source=affinity")
	setIn(s, filepath.Dir(cpu), "cpu.cfs_quota_us", "300000")
	c.check(s, "processes=3 source=cgroup quota=3")
	c.set(s, "memory.max", "256M")
	c.check(s, "processes=2 source=memory", "--memory-per-process", "100MiB")
}

func mixedFollows(s *scene, c *container) {
	c.outside = true
	setIn(s, c.groups()[1], "cpu.cfs_quota_us", "100000")
	c.set(s, "memory.max", "256M", "pids.max", "77")
	c.start(s, "--memory-per-process", "100MiB", "--", "/guest", "serve")
	c.await(s, 1, "slot=1 ready")
	setIn(s, c.groups()[1], "cpu.cfs_quota_us", "300000")
	c.await(s, 1, "limits changed", "from=1", "to=2", "source=memory")
	c.await(s, 1, "slot=2 ready")
	wantPage(s, c, "brood_cgroup_cpu_limit_cores 3", "brood_cgroup_memory_limit_bytes 2.68435456e+08", "brood_cgroup_pids_limit 77",
		"brood_cgroup_pressure_memory_waiting_seconds_total ")
	c.stop(s)
}

// That is how the kubelet sets a container up. Nobody in it can say anything.
func groupOutOfMemory(s *scene, c *container) {
	c.set(s, "memory.max", "64M", "memory.oom.group", "1")
	c.start(s, "-n2", "--finish", "/guest say finished", "--", "/guest", "hog", "200")
	c.ends(s, 137)
	if events := c.read("memory.events"); !strings.Contains(events, "oom_group_kill 1") {
		s.wrongf("the kernel has counted %q", events)
	}
	if c.said.count("finished") != 0 || c.said.count("exiting") != 0 {
		s.wrongf("brood has come to a finish, so it was not killed with its worker:\n%s", c.said.String())
	}
}

func outOfTasks(s *scene, c *container) {
	c.start(s, "-n2", "--restart-backoff", "50ms..200ms", "--max-restarts", "1000/1m", "--", "/guest", "quit", "7")
	c.await(s, 2, "ready")
	c.set(s, "pids.max", "2")
	if err := c.signalSlot1(unix.SIGUSR1); err != nil {
		s.wrongf("%v", err)
	}
	c.await(s, 3, "worker not started", "slot=1", "resource temporarily unavailable", "pids.max")
	c.set(s, "pids.max", "max")
	c.await(s, 3, "ready")
	c.stop(s)
}

func unknownSignals(s *scene, c *container) {
	c.start(s, "-n4", "--restart", "always", "--restart-backoff", "1ms..1ms", "--", "/guest", "exit", "0")
	c.await(s, 1, "worker started", "incarnation=5 ")
	for range 500 {
		for _, sig := range []unix.Signal{32, 33, 34} {
			if err := c.cmd.Process.Signal(sig); err != nil {
				s.wrongf("signal %d: %v", sig, err)
				return
			}
		}
	}
	c.stop(s)
}

func figures(s *scene, c *container) {
	c.set(s, "cpu.max", "150000 100000", "memory.max", "300M", "pids.max", "77")
	c.start(s, "--", "/guest", "serve")
	c.await(s, 2, "ready")
	wantPage(s, c,
		"brood_cgroup_cpu_limit_cores 1.5", "brood_cgroup_memory_limit_bytes 3.145728e+08", "brood_cgroup_pids_limit 77",
		"brood_cgroup_pids ", "brood_cgroup_memory_working_set_bytes ", "brood_cgroup_cpu_periods_total ",
		"brood_cgroup_pressure_cpu_waiting_seconds_total ", "brood_cgroup_pressure_memory_waiting_seconds_total ",
		"brood_cgroup_pressure_io_waiting_seconds_total ", "brood_workers_desired 2",
		`brood_cgroup_memory_events_total{event="oom_kill"} 0`,
	)
	c.stop(s)
}

func wantPage(s *scene, c *container, series ...string) {
	var page string
	for _, want := range series {
		if !within(func() bool {
			var err error
			page, err = c.page()
			return err == nil && strings.Contains(page, "\n"+want)
		}) {
			s.wrongf("the metrics have no %s", want)
		}
	}
	if s.failed {
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "brood_cgroup") {
				fmt.Print(line)
			}
		}
	}
}
