package docker_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestTheNumberOfWorkersFollowsTheLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cpus         int // that the machine must have
		flags, words string
		want         string
		because      []string
	}{
		{2, "--cpus 1.5", "", "2", []string{"quota=1.5", "affinity=2"}},
		{1, "--cpus 1", "", "1", []string{"source=cgroup", "quota=1"}},
		{1, "--cpus 0.3", "", "1", []string{"source=cgroup", "quota=0.3"}},
		{1, "--cpuset-cpus 0", "", "1", []string{"source=affinity", "affinity=1"}},
		{2, "--cpuset-cpus 0,1 --cpu-shares 128", "", "2", []string{"source=affinity", "affinity=2"}},
		{1, "--cpus 1", "--min-processes 3", "3", []string{"min"}},
		{2, "--memory 128m", "--memory-per-process 100MiB", "1", []string{"source=memory"}},
		{1, "--cpus 1", "-n 3", "3", []string{"source=requested"}},
	} {
		t.Run(strings.TrimSpace(test.flags+" "+test.words), func(t *testing.T) {
			t.Parallel()
			if n := runtime.NumCPU(); n < test.cpus {
				harness.Missing(t, "this machine has %d CPU, and the engine refuses to promise %d", n, test.cpus)
			}
			c := run(t, test.flags, test.words+" -- /guest serve")
			c.await(1, "ready")
			for _, word := range append(test.because, "processes="+test.want) {
				c.wants(1, "msg=starting", word)
			}
			c.await(number(t, test.want), "ready")
			c.stops(0)
			c.wants(number(t, test.want), `msg="worker started"`)
		})
	}
}

// The limit is lowered below what runs, so that not one more process may be.
func TestAtTheLimitOnProcessesAStartFailsAndBroodLives(t *testing.T) {
	t.Parallel()
	c := run(t, "--pids-limit 200", "-n2 --restart-backoff 50ms..200ms --max-restarts 1000/1m -- /guest quit 7")
	c.await(2, "ready")
	docker(t, "update", "--pids-limit", "2", c.name)
	c.signal("USR1")
	c.await(3, "worker not started", "slot=1", "resource temporarily unavailable", "pids.max")
	if !c.state().Running {
		t.Error("brood has ended for want of a process")
	}
	docker(t, "update", "--pids-limit", "200", c.name)
	c.await(3, "ready")
	c.stops(0)
}

// A Go program that needs one more thread and cannot have it ends with 2, as any
// of these workers may that has to be woken for its stop. brood may not.
func TestBroodLivesWhereWorkersUseUpAllProcesses(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"24", "32"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			c := run(t, "--pids-limit "+limit, "-n "+limit+" --exit-code 2=0 --restart-backoff 100ms..1s --finish '/guest say all have ended' -- /guest serve")
			c.await(1, "worker not started", "pids.max")
			c.stops(0)
			c.wants(1, "all have ended")
		})
	}
}

func TestWhoRunsOutOfMemoryIsToldAndReplaced(t *testing.T) {
	t.Parallel()
	const memory = "--memory 96m --memory-swap 96m"
	for name, test := range map[string]struct {
		guest, reason string
		code          int
		told          []string
	}{
		"a worker":                               {"hog 300", "oom", 137, []string{"signal=SIGKILL"}},
		"a child, as a shell reports it":         {"parent 300 137", "oom", 137, []string{"my child has ended"}},
		"a child, and the worker then ends by 5": {"parent 300 5", "failed", 5, []string{"oom_kills=1", "my child has ended"}},
	} {
		for _, init := range []string{"", "--init"} { // brood is PID 1, or not
			t.Run(strings.TrimSpace(name+" "+init), func(t *testing.T) {
				t.Parallel()
				c := run(t, memory+" "+init, "-n2 --output prefix -- /guest "+test.guest)
				c.await(1, "worker exited", "slot=1")
				c.await(2, "ready")
				c.wants(1, append(test.told, "worker exited", "slot=1", "reason="+test.reason, "code="+strconv.Itoa(test.code))...)
				c.wants(1, "worker exited")
				c.wants(1, "worker started", "slot=1", "incarnation=2")
				c.wants(1, "worker started", "slot=2")
				c.wants(0, "holds")
				until(t, "the status says so when both are ready", func() bool {
					said, err := tryDocker("exec", c.name, "/brood", "status", "-o", "json", "1")
					return err == nil && strings.Contains(said, `"reason": "`+test.reason+`"`)
				})
				c.stops(0)
			})
		}
	}
}

// It is the container's end then: the message is what is left of it.
func TestAContainerThatEndsForLackOfMemorySaysSo(t *testing.T) {
	t.Parallel()
	message := filepath.Join(t.TempDir(), "message") // as the kubelet makes it
	if err := os.WriteFile(message, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	c := run(t, "--memory 96m --memory-swap 96m --volume "+message+":/dev/termination-log", "-n1 --restart never -- /guest hog 300")
	c.ends(137)
	c.wants(1, "msg=exiting", "code=137", "reason=oom", "slot=1")
	text, err := os.ReadFile(message)
	if err != nil || !strings.Contains(string(text), `"worker":{"code":137,"signal":"SIGKILL","reason":"oom"`) {
		t.Errorf("the message is %q, %v", text, err)
	}
}

// What the engine shows then is all that there is: no hook runs, nobody can say why.
func TestABroodThatIsKilledForLackOfMemoryTakesTheContainerAlong(t *testing.T) {
	t.Parallel()
	c := run(t, "--memory 96m --memory-swap 96m", "-n2 --finish '/guest say all have ended' -- /guest doom 300")
	c.ends(137)
	if !c.state().OOMKilled {
		t.Error("the engine does not know why the container has ended")
	}
	c.wants(0, "msg=exiting")
	c.wants(0, "all have ended")
}

// docker update writes into the control group of a container that runs.
func TestAChangedQuotaChangesTheNumberOfWorkers(t *testing.T) {
	t.Parallel()
	if runtime.NumCPU() < 2 {
		harness.Missing(t, "this machine has one CPU only")
	}
	c := run(t, "--cpus 1", "-- /guest serve")
	c.await(1, "ready")
	docker(t, "update", "--cpus", "2", c.name)
	c.await(2, "ready")
	docker(t, "update", "--cpus", "1", c.name)
	c.await(1, "slot=2 drained")
	c.wants(1, "limits changed", "from=1", "to=2")
	c.wants(1, "limits changed", "from=2", "to=1")
	c.stops(0)
	c.wants(1, "slot=1 got TERM")
	c.wants(1, "slot=2 got TERM")
}

func TestChangedCPUsChangeTheNumberOfWorkersAndWhereTheyRun(t *testing.T) {
	t.Parallel()
	if runtime.NumCPU() < 2 {
		harness.Missing(t, "this machine has one CPU only")
	}
	c := run(t, "--cpuset-cpus 0", "--cpu-affinity auto -- /guest self")
	c.await(1, "ready")
	c.wants(1, "slot=1 Cpus_allowed_list=0")
	docker(t, "update", "--cpuset-cpus", "0,1", c.name)
	c.await(1, "slot=2 Cpus_allowed_list=1")
	docker(t, "update", "--cpuset-cpus", "1", c.name)
	c.await(1, "slot=2 drained")
	c.exec("/brood", "reload") // what starts now knows CPU 0 no more
	c.wants(1, "slot=1 Cpus_allowed_list=1")
	c.wants(1, "limits changed", "from=1", "to=2")
	c.wants(1, "limits changed", "from=2", "to=1")
	c.stops(0)
	c.wants(0, "level=ERROR")
}

// A container that is much smaller than its machine must not be told by the
// machine's figures.
func TestTheCheckVerbSaysWhatWouldRunHere(t *testing.T) {
	t.Parallel()
	c := run(t, "--cpus 1 --memory 128m --pids-limit 100", "check -- /guest serve")
	c.ends(0)
	if said := c.said(); !strings.Contains(said, "1") || os.Getenv("BROOD_TEST_VERBOSE") != "" {
		t.Log(said)
	}
}
