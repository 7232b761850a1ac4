package kubernetes_test

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hold keeps the object of a pod that has ended, so that it can be looked at.
const hold = "brood.test/hold"

// pod is one that a test has made.
type pod struct {
	t               testing.TB
	namespace, name string
}

// status is what the API server knows of a pod.
type status struct {
	Metadata struct {
		Name              string
		DeletionTimestamp *time.Time
		Labels            map[string]string
	}
	Status struct {
		Phase                 string
		PodIP                 string
		Conditions            []struct{ Type, Status string }
		ContainerStatuses     []container
		InitContainerStatuses []container
	}
}

// container is the state of one of a pod's.
type container struct {
	Name         string
	Ready        bool
	RestartCount int
	State        state
	LastState    state
}

type state struct {
	Running    *struct{}
	Terminated *struct {
		ExitCode              int
		Reason, Message       string
		StartedAt, FinishedAt time.Time
	}
}

func (s status) condition(kind string) string {
	for _, c := range s.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

// container is the one with that name.
func (s status) container(name string) (c container) {
	for _, list := range [][]container{s.Status.ContainerStatuses, s.Status.InitContainerStatuses} {
		for _, c := range list {
			if c.Name == name {
				return c
			}
		}
	}
	return c
}

// spec is what a test says of its pod. The container is called c.
type spec struct {
	name    string
	pod     string // fields of the pod's spec, as YAML in braces without the braces
	c       string // of the container's
	words   string // for brood, a YAML list without the brackets
	env     map[string]string
	extra   string // more containers, a YAML list without the brackets
	hold    bool
	noProbe bool
}

// start makes a pod and sees to its end. brood's PID files are in /dev/shm.
func start(t testing.TB, namespace string, s spec) *pod {
	t.Helper()
	p := &pod{t, namespace, s.name}
	var env []string
	for name, value := range s.env {
		env = append(env, fmt.Sprintf("{name: %s, value: %q}", name, value))
	}
	fields := []string{"name: c", "image: " + image, "imagePullPolicy: Never", "env: [" + strings.Join(env, ", ") + "]"}
	if s.words != "" {
		fields = append(fields, "args: ["+s.words+"]")
	}
	if !s.noProbe {
		fields = append(fields, "readinessProbe: {httpGet: {path: /readyz, port: 9180}, periodSeconds: 1, failureThreshold: 1}")
	}
	if s.c != "" {
		fields = append(fields, s.c)
	}
	containers := "{" + strings.Join(fields, ", ") + "}"
	if s.extra != "" {
		containers += ", " + s.extra
	}
	inSpec := "containers: [" + containers + "], automountServiceAccountToken: false"
	if s.pod != "" {
		inSpec += ", " + s.pod
	}
	finalizers := ""
	if s.hold {
		finalizers = ", finalizers: [" + hold + "]"
	}
	t.Cleanup(p.remove)
	apply(t, namespace, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s%s}, spec: {%s}}", s.name, finalizers, inSpec))
	return p
}

// remove lets go of the pod, and says what it has said if the test has failed.
func (p *pod) remove() {
	if p.t.Failed() {
		out, _ := tryKubectl("", "describe", "pod", p.name, "--namespace", p.namespace)
		logs, _ := tryKubectl("", "logs", p.name, "--namespace", p.namespace, "--all-containers", "--tail=60")
		p.t.Logf("pod %s:\n%s\n%s", p.name, out, logs)
	}
	_, _ = tryKubectl("", "delete", "pod", p.name, "--namespace", p.namespace, "--ignore-not-found", "--wait=false", "--now")
	p.release()
}

// release lets the object of a held pod go.
func (p *pod) release() {
	_, _ = tryKubectl("", "patch", "pod", p.name, "--namespace", p.namespace, "--type=merge", "--patch", `{"metadata":{"finalizers":null}}`)
}

func (p *pod) status() (s status) {
	p.t.Helper()
	get(p.t, &s, "pod", p.name, "--namespace", p.namespace)
	return s
}

// await waits until the pod's status is as wanted, and returns it.
func (p *pod) await(what string, is func(status) bool) (s status) {
	p.t.Helper()
	until(p.t, "pod "+p.name+" "+what, func() bool { s = p.status(); return is(s) })
	return s
}

func (p *pod) awaitReady() status {
	p.t.Helper()
	return p.await("is ready", func(s status) bool { return s.condition("Ready") == "True" })
}

// awaitEnd waits until its container c has ended.
func (p *pod) awaitEnd() container {
	p.t.Helper()
	return p.await("has ended", func(s status) bool { return s.container("c").State.Terminated != nil }).container("c")
}

// delete asks for the end, waits for it, and returns how c has ended and how
// long the whole took. The pod must be held.
func (p *pod) delete(flags ...string) (container, time.Duration) {
	p.t.Helper()
	began := time.Now()
	kubectl(p.t, append([]string{"delete", "pod", p.name, "--namespace", p.namespace, "--wait=false"}, flags...)...)
	c := p.awaitEnd()
	return c, c.State.Terminated.FinishedAt.Sub(began.Truncate(time.Second)) // the API knows whole seconds
}

func (p *pod) describe() string {
	p.t.Helper()
	return kubectl(p.t, "describe", "pod", p.name, "--namespace", p.namespace)
}

// exec runs a command in container c.
func (p *pod) exec(words ...string) string {
	p.t.Helper()
	out, err := p.tryExec(words...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *pod) tryExec(words ...string) (string, error) {
	return tryKubectl("", append([]string{"exec", p.name, "--namespace", p.namespace, "--container", "c", "--"}, words...)...)
}

// page asks brood in the pod, by way of the API server.
func (p *pod) page(path string) (string, error) {
	return tryKubectl("", "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:9180/proxy%s", p.namespace, p.name, path))
}

// line is what a container has said, and when the node got it.
type line struct {
	at   time.Time
	text string
}

// transcript follows what a container says until it ends.
type transcript struct {
	t     testing.TB
	mu    sync.Mutex
	lines []line
	ended chan struct{}
}

func (p *pod) follow(container string) *transcript {
	p.t.Helper()
	p.await("has started "+container, func(s status) bool {
		c := s.container(container)
		return c.State.Running != nil || c.State.Terminated != nil || c.LastState.Terminated != nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	cmd := beside(ctx, "kubectl", "logs", p.name, "--namespace", p.namespace, "--container", container, "--follow", "--timestamps")
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	l := &transcript{t: p.t, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for text := bufio.NewScanner(out); text.Scan(); {
			stamp, rest, _ := strings.Cut(text.Text(), " ")
			at, _ := time.Parse(time.RFC3339Nano, stamp)
			l.mu.Lock()
			l.lines = append(l.lines, line{at, rest})
			l.mu.Unlock()
		}
		_ = cmd.Wait()
	}()
	p.t.Cleanup(func() { cancel(); <-l.ended })
	return l
}

// with are the lines that have all the words.
func (l *transcript) with(words ...string) (found []line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line.text, w) }) {
			found = append(found, line)
		}
	}
	return found
}

// await waits for n lines with all the words, and returns the time of the first.
func (l *transcript) await(n int, words ...string) time.Time {
	l.t.Helper()
	until(l.t, fmt.Sprintf("%d lines have %q", n, words), func() bool { return len(l.with(words...)) >= n })
	return l.with(words...)[0].at
}

// whole waits for the end of the container.
func (l *transcript) whole() *transcript {
	l.t.Helper()
	until(l.t, "the log has ended", func() bool {
		select {
		case <-l.ended:
			return true
		default:
			return false
		}
	})
	return l
}

// order checks that the first line with each of the words comes after that of
// those before.
func (l *transcript) order(each ...string) {
	l.t.Helper()
	last := -1
	for _, words := range each {
		l.mu.Lock()
		at := slices.IndexFunc(l.lines, func(x line) bool { return strings.Contains(x.text, words) })
		l.mu.Unlock()
		if at <= last {
			l.t.Errorf("the first line with %q is number %d, want one after %d", words, at, last)
		}
		last = max(at, last)
	}
}

func running(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// groupOOM tells whether the kernel kills a whole container for lack of memory:
// the kubelet asks for that where it can, which is on cgroup v2.
func groupOOM() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}
