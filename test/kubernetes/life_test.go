package kubernetes_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

const limits = "resources: {requests: {cpu: 10m, memory: %[2]s}, limits: {cpu: %[1]q, memory: %[2]s}}," +
	" resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: memory, restartPolicy: NotRequired}]"

// A container is not restarted because of a service that is not ready: brood
// replaces the workers, and its own /livez stays.
func TestAPodWhoseWorkersNeverAnswerIsNotReadyAndNotRestarted(t *testing.T) {
	t.Parallel()
	need(t)
	p := start(t, "default", spec{
		name: "unready", words: "/guest, serve",
		c: "livenessProbe: {httpGet: {path: /livez, port: 9180}, periodSeconds: 1, failureThreshold: 2}",
		env: map[string]string{
			"BROOD_PROCESSES": "2", "BROOD_READY": "tcp://127.0.0.1:9", "BROOD_READY_TIMEOUT": "2s",
			"BROOD_RESTART_BACKOFF": "100ms..500ms", "BROOD_MAX_RESTARTS": "1000/1m",
		},
	})
	log := p.follow("c")
	log.await(6, "worker exited", "reason=unready")
	s := p.status()
	if s.condition("Ready") != "False" || s.container("c").RestartCount != 0 {
		t.Errorf("ready %q, %d restarts of the container; want none of both", s.condition("Ready"), s.container("c").RestartCount)
	}
	record(t, 40, "workers never ready, liveness on `/livez` each second", "pod not ready; %d workers replaced (`unready`), the container restarted %d times",
		len(log.with("worker exited", "reason=unready")), s.container("c").RestartCount)
}

// What /livez is for: PID 1 itself does not answer.
func TestAContainerWhoseBroodIsStuckIsRestartedAndCleansUp(t *testing.T) {
	t.Parallel()
	need(t)
	p := start(t, "default", spec{
		name: "stuck", words: "/guest, serve", pod: "terminationGracePeriodSeconds: 2, volumes: [{name: run, emptyDir: {medium: Memory}}]",
		c: "livenessProbe: {httpGet: {path: /livez, port: 9180}, periodSeconds: 1, failureThreshold: 2}," +
			" volumeMounts: [{name: run, mountPath: /run}]",
		env: map[string]string{"BROOD_PROCESSES": "2", "BROOD_PIDFILE": "/run/brood/stuck.pid"},
	})
	p.awaitReady()
	if err := unix.Kill(broodWith(t, "BROOD_PIDFILE=/run/brood/stuck.pid"), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := p.await("is restarted and ready", func(s status) bool {
		return s.container("c").RestartCount == 1 && s.condition("Ready") == "True"
	})
	last := s.container("c").LastState.Terminated
	if last == nil || last.ExitCode != 137 {
		t.Errorf("the stuck container ended with %+v, want 137", last)
	}
	said := kubectl(t, "logs", p.name)
	if !strings.Contains(said, "removed stale PID files") {
		t.Errorf("the second brood did not clean up after the first:\n%s", said)
	}
	record(t, 41, "brood itself stopped (SIGSTOP), liveness on `/livez`", "container restarted, last state %d; the new brood removes the stale PID files of the emptyDir", last.ExitCode)
}

// brood is not PID 1 here, so orphans would go past it if it were no subreaper.
func TestBroodAdoptsOrphansWhereThePodSharesItsPIDNamespace(t *testing.T) {
	t.Parallel()
	need(t)
	p := start(t, "default", spec{
		name: "shared", words: "/guest, orphans, '3'", hold: true, pod: "shareProcessNamespace: true", env: map[string]string{"BROOD_PROCESSES": "1"},
		extra: "{name: other, image: '" + image + "', imagePullPolicy: Never, command: [/guest, serve]}",
	})
	p.awaitReady()
	log, other := p.follow("c"), p.follow("other")
	log.await(3, "orphan of", "ends")
	ps := p.exec("/guest", "ps")
	brood := regexp.MustCompile(`(?m)^pid=(\d+) .*command=/brood `).FindStringSubmatch(ps)
	if brood == nil || brood[1] == "1" {
		t.Fatalf("want brood not to be PID 1 among\n%s", ps)
	}
	if n := len(log.with("orphan of " + brood[1] + " ends")); n != 3 {
		t.Errorf("%d orphans were adopted by brood, want 3", n)
	}
	until(t, "there is no zombie", func() bool { return !strings.Contains(p.exec("/guest", "ps"), "state=Z") })
	if len(other.with("got TERM")) > 0 {
		t.Error("the other container has got TERM before the end of the pod")
	}
	ended, _ := p.delete()
	if ended.State.Terminated.ExitCode != 0 {
		t.Errorf("brood ended with %d", ended.State.Terminated.ExitCode)
	}
	record(t, 50, "`shareProcessNamespace`", "PID 1 is the pause container; brood (PID %s) adopts and reaps the orphans of its workers, and touches no other container", brood[1])
}

// The same service as PID 1, and under brood.
func TestZombiesStayWithoutBroodAndGoWithIt(t *testing.T) {
	t.Parallel()
	need(t)
	zombies := func(p *pod) int { return strings.Count(p.exec("/guest", "ps"), "state=Z") }
	without := start(t, "default", spec{name: "zombies-without", c: "command: [/guest, orphans, '6']", noProbe: true})
	with := start(t, "default", spec{name: "zombies-with", words: "/guest, orphans, '6'", env: map[string]string{"BROOD_PROCESSES": "1"}})
	without.awaitReady()
	with.awaitReady()
	without.follow("c").await(6, "orphan of 1 ends")
	with.follow("c").await(6, "orphan of 1 ends")
	until(t, "there are six zombies", func() bool { return zombies(without) == 6 })
	until(t, "there is none under brood", func() bool { return zombies(with) == 0 })
	record(t, 51, "a service that leaves 6 orphans", "without brood %d zombies stay until the pod ends; with brood %d", zombies(without), zombies(with))
}

func TestAJobCompletesWithItsWorkersAndFailsWithThem(t *testing.T) {
	t.Parallel()
	need(t)
	job := func(name, code string) string {
		return fmt.Sprintf(`{apiVersion: batch/v1, kind: Job, metadata: {name: %s}, spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never,
		  containers: [{name: c, image: '%s', imagePullPolicy: Never, args: [/guest, exit, '%s'],
		  env: [{name: BROOD_PROCESSES, value: '3'}, {name: BROOD_RESTART, value: never}]}]}}}}`, name, image, code)
	}
	apply(t, "default", job("done", "0"))
	apply(t, "default", job("fails", "3"))
	t.Cleanup(func() { kubectl(t, "delete", "job", "done", "fails", "--wait=false") })
	var done, failed struct {
		Status struct{ Succeeded, Failed int }
	}
	until(t, "both jobs have ended", func() bool {
		get(t, &done, "job", "done")
		get(t, &failed, "job", "fails")
		return done.Status.Succeeded+done.Status.Failed > 0 && failed.Status.Succeeded+failed.Status.Failed > 0
	})
	if done.Status.Succeeded != 1 || failed.Status.Failed != 1 {
		t.Errorf("done %+v, fails %+v", done.Status, failed.Status)
	}
	var pods struct{ Items []status }
	get(t, &pods, "pods", "--selector", "job-name=fails")
	end := pods.Items[0].container("c")
	if end.State.Terminated == nil || end.State.Terminated.ExitCode != 3 || !strings.Contains(end.message(), "failed") {
		t.Errorf("the failed job's container is %+v, want code 3 and the reason", end.State.Terminated)
	}
	record(t, 60, "Job, 3 workers that end with 0, and with 3", "`Complete` 1/1; `Failed`, the pod shows %d `%s` and brood's message", end.State.Terminated.ExitCode, end.State.Terminated.Reason)
}

func TestAWorkerThatRunsOutOfMemoryIsReplacedAndCounted(t *testing.T) {
	t.Parallel()
	need(t)
	p := start(t, "default", spec{
		name: "oom", words: "/guest, hog, '300'", hold: true, c: fmt.Sprintf(limits, "1", "96Mi"), env: map[string]string{"BROOD_PROCESSES": "2"},
	})
	log := p.follow("c")
	if groupOOM() {
		ended := p.await("was killed", func(s status) bool { return s.container("c").LastState.Terminated != nil }).container("c").LastState
		record(t, 70, "a worker runs out of memory (cgroup v2)", "the whole container dies: %d `%s`", ended.Terminated.ExitCode, ended.Terminated.Reason)
		harness.Missing(t, "the kubelet sets memory.oom.group on cgroup v2: brood dies with its worker")
	}
	log.await(1, "worker exited", "slot=1", "code=137", "reason=oom")
	log.await(1, "worker started", "slot=1", "incarnation=2")
	p.awaitReady()
	page, err := p.page("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`brood_worker_exits_total{reason="oom",worker="1"} 1`, `brood_cgroup_memory_events_total{event="oom_kill"} 1`} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	ended, _ := p.delete()
	if ended.State.Terminated.ExitCode != 0 {
		t.Errorf("the container ended with %d, want 0: the worker was replaced", ended.State.Terminated.ExitCode)
	}
	record(t, 70, "a worker runs out of memory (cgroup v1)", "the worker: 137, `reason=oom` in log and metrics, replaced; the container, deleted later: %d `%s`", ended.State.Terminated.ExitCode, ended.State.Terminated.Reason)
}

func TestTheMessageSaysThatMemoryEndedIt(t *testing.T) {
	t.Parallel()
	need(t)
	if groupOOM() {
		harness.Missing(t, "the kubelet sets memory.oom.group on cgroup v2: brood dies with its worker")
	}
	p := start(t, "default", spec{
		name: "oom-ends", words: "/guest, hog, '300'", pod: "restartPolicy: Never", c: fmt.Sprintf(limits, "1", "96Mi"),
		env: map[string]string{"BROOD_PROCESSES": "1", "BROOD_RESTART": "never"}, noProbe: true,
	})
	ended := p.awaitEnd()
	if ended.State.Terminated.ExitCode != 137 || !strings.Contains(ended.message(), `"reason":"oom"`) {
		t.Errorf("the container ended with %+v, want 137 and the reason", *ended.State.Terminated)
	}
	record(t, 71, "the only worker runs out of memory, `--restart never` (cgroup v1)", "%d `%s`; %s", ended.State.Terminated.ExitCode, ended.State.Terminated.Reason, shown(ended.message()))
}

func TestAResizeInPlaceChangesTheNumberOfWorkers(t *testing.T) {
	t.Parallel()
	need(t)
	p := start(t, "default", spec{name: "resized", words: "/guest, serve", c: fmt.Sprintf(limits, "1", "64Mi")})
	p.awaitReady()
	log := p.follow("c")
	log.await(1, "slot=1 ready")
	resize := func(cpu string) {
		t.Helper()
		kubectl(t, "patch", "pod", p.name, "--subresource", "resize", "--patch",
			`{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"`+cpu+`"}}}]}}`)
	}
	resize("2")
	log.await(1, "limits changed", "from=1", "to=2")
	log.await(1, "slot=2 ready")
	resize("1")
	log.await(1, "limits changed", "from=2", "to=1")
	log.await(1, "slot=2 drained")
	if n := p.status().container("c").RestartCount; n != 0 {
		t.Errorf("the container was restarted %d times", n)
	}
	record(t, 72, "resize in place, `limits.cpu` 1 -> 2 -> 1", "1 -> 2 -> 1 workers, slot 2 drained; no restart of the container")
}

// The kubelet gives every container a variable for each Service of its
// namespace: BROOD_PORT=tcp://... and more, for one that is called like us.
func TestAServiceCalledBroodDoesNotConfigureBrood(t *testing.T) {
	t.Parallel()
	need(t)
	namespace := newNamespace(t, "links")
	apply(t, namespace, "{apiVersion: v1, kind: Service, metadata: {name: brood}, spec: {selector: {app: none}, ports: [{name: metrics, port: 80}]}}")
	p := start(t, namespace, spec{name: "linked", words: "/guest, serve", env: map[string]string{"BROOD_PROCESSES": "1"}})
	p.awaitReady()
	said := kubectl(t, "logs", p.name, "--namespace", namespace)
	if !strings.Contains(said, "enableServiceLinks: false") {
		t.Errorf("brood says nothing of the variables, so this test has not shown anything:\n%s", said)
	}
	record(t, 80, "a Service called `brood` (`enableServiceLinks`)", "one warning that names the variables; brood starts as it would")
}

// broodWith is the PID here of the brood that has the variable. PID 1 of a
// namespace can be stopped from outside only.
func broodWith(t testing.TB, variable string) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		dir := filepath.Dir(path)
		comm, _ := os.ReadFile(path)
		environ, _ := os.ReadFile(dir + "/environ")
		if string(comm) != "brood\n" || !slices.Contains(strings.Split(string(environ), "\x00"), variable) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatalf("no brood has %s", variable)
	return 0
}
