package kubernetes_test

import (
	"strings"
	"testing"
	"time"
)

// message is what the kubelet has read of /dev/termination-log.
func (c container) message() string {
	if c.State.Terminated == nil {
		return ""
	}
	return c.State.Terminated.Message
}

func TestADeletedPodDrainsStopsItsWorkersFinishesAndSaysWhy(t *testing.T) {
	t.Parallel()
	need(t)
	p := start(t, "default", spec{
		name: "deleted", words: "/guest, serve, 500ms", hold: true,
		env: map[string]string{"BROOD_PROCESSES": "2", "BROOD_DRAIN_DELAY": "3s", "BROOD_FINISH": "/guest say all have ended"},
	})
	p.awaitReady()
	log := p.follow("c")
	log.await(2, "ready", "slot=")
	began := time.Now()
	kubectl(t, "delete", "pod", p.name, "--wait=false")
	p.await("is not ready while it drains", func(s status) bool {
		return s.condition("Ready") == "False" && s.container("c").State.Running != nil
	})
	c := p.awaitEnd()
	log.whole().order("msg=stopping", "drain delay over", "worker exited", "exiting")
	log.order("slot=1 got TERM", "slot=1 drained", "all have ended")
	term, drained := log.await(1, "msg=stopping").Sub(began), log.await(1, "got TERM").Sub(log.await(1, "msg=stopping"))
	if drained < 2900*time.Millisecond { // the node's stamps are a little late, each on its own
		t.Errorf("workers got TERM %v after the stop request, want 3 s at least", drained)
	}
	if n := len(log.with("got TERM")); n != 2 {
		t.Errorf("%d workers got TERM, want 2", n)
	}
	if c.State.Terminated.ExitCode != 0 || c.State.Terminated.Reason != "Completed" {
		t.Errorf("the container ended with %+v, want 0 Completed", *c.State.Terminated)
	}
	said := p.describe()
	for _, want := range []string{"brood: exiting with code 0: requested", `{"code":0,"reason":"requested"`, "Exit Code:    0"} {
		if !strings.Contains(said, want) {
			t.Errorf("kubectl describe has no %q:\n%s", want, said)
		}
	}
	record(t, 30, "`kubectl delete pod`, drain 3 s", "TERM in brood after %.1f s, `/readyz` 503 and the pod not ready meanwhile; workers got TERM %.1f s later; finish hook, 0 `Completed`, message in `kubectl describe`",
		term.Seconds(), drained.Seconds())
}

// With a budget that fits, brood is who kills; with one that does not, the
// kubelet kills brood, and nobody can say anything.
func TestAServiceThatOverrunsTheGraceIsKilledByBroodIfTheBudgetFits(t *testing.T) {
	t.Parallel()
	need(t)
	for _, c := range []struct {
		name, budget string
		ours         bool
	}{{"overrun-fits", "6s", true}, {"overrun-does-not-fit", "28s", false}} {
		t.Run(c.budget, func(t *testing.T) {
			t.Parallel()
			p := start(t, "default", spec{
				name: c.name, words: "/guest, ignore", hold: true, pod: "terminationGracePeriodSeconds: 8",
				env: map[string]string{"BROOD_PROCESSES": "1", "BROOD_STOP_TIMEOUT": c.budget, "BROOD_FINISH": "/guest say all have ended"},
			})
			p.awaitReady()
			log := p.follow("c")
			log.await(1, "slot=1 ready")
			ended, took := p.delete()
			log.whole()
			if ended.State.Terminated.ExitCode != 137 {
				t.Errorf("the code is %d, want 137", ended.State.Terminated.ExitCode)
			}
			hooks, told := len(log.with("all have ended")), strings.Contains(ended.message(), "killed")
			if ours := hooks == 1 && told; ours != c.ours {
				t.Errorf("the finish hook ran %d times, the message is %q; want brood's own end: %v", hooks, ended.message(), c.ours)
			}
			what := "brood kills the worker; finish hook; the message says `killed`"
			if !c.ours {
				what = "the kubelet kills brood; no finish hook, no message"
			}
			record(t, 31, "workers ignore TERM, period 8 s, `--stop-timeout "+c.budget+"`", "137 `%s` after %.0f s: %s", ended.State.Terminated.Reason, took.Seconds(), what)
		})
	}
}

// The clock of the period starts before the hook. One that does not end uses it
// up, and what is left then is 2 s.
func TestPreStopTakesItsTimeFromTheSamePeriod(t *testing.T) {
	t.Parallel()
	need(t)
	for _, c := range []struct{ name, hook, period, budget, what string }{
		{"prestop", "sleep: {seconds: 4}", "10", "5s", "preStop `sleep` 4 s, period 10 s, `--stop-timeout 5s`"},
		{"prestop-long", "exec: {command: [/guest, serve]}", "4", "auto", "preStop that hangs, period 4 s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "default", spec{
				name: c.name, words: "/guest, serve", hold: true, pod: "terminationGracePeriodSeconds: " + c.period, c: "lifecycle: {preStop: {" + c.hook + "}}",
				env: map[string]string{"BROOD_PROCESSES": "1", "BROOD_STOP_TIMEOUT": c.budget, "BROOD_FINISH": "/guest say all have ended"},
			})
			p.awaitReady()
			log := p.follow("c")
			log.await(1, "slot=1 ready")
			began := time.Now()
			ended, _ := p.delete()
			term, end := log.whole().await(1, "msg=stopping").Sub(began), ended.State.Terminated
			if term < 4*time.Second || end.ExitCode != 0 || len(log.with("all have ended")) != 1 {
				t.Errorf("TERM after %v, code %d; want 4 s at least, 0, and the finish hook", term, end.ExitCode)
			}
			record(t, 32, c.what, "TERM after %.1f s; workers that end at once; finish hook; %d `%s`", term.Seconds(), end.ExitCode, end.Reason)
		})
	}
}

// Its containers start in order and end in reverse, which is what a sidecar is
// for: it is there as long as the service is.
func TestASidecarOutlivesTheServiceThatNeedsIt(t *testing.T) {
	t.Parallel()
	need(t)
	p := start(t, "default", spec{
		name: "sidecar", words: "/guest, serve, 2s", hold: true, env: map[string]string{"BROOD_PROCESSES": "1"},
		pod: "initContainers: [{name: side, restartPolicy: Always, image: '" + image + "', imagePullPolicy: Never, args: [/guest, serve]," +
			" env: [{name: BROOD_PROCESSES, value: '1'}, {name: BROOD_METRICS_ADDR, value: ':9181'}]}]",
	})
	p.awaitReady()
	service, side := p.follow("c"), p.follow("side")
	service.await(1, "slot=1 ready")
	side.await(1, "slot=1 ready")
	p.delete()
	end := service.whole().await(1, "exiting")
	term := side.whole().await(1, "msg=stopping")
	if side.await(1, "slot=1 ready").After(service.await(1, "slot=1 ready")) {
		t.Error("the sidecar was ready after the service")
	}
	if term.Before(end) {
		t.Errorf("the sidecar got TERM at %v, and the service ended at %v", term, end)
	}
	record(t, 34, "native sidecar, both under brood", "starts first; its TERM comes %.1f s after the end of the service", term.Sub(end).Seconds())
}
