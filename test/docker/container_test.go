package docker_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kballard/go-shellquote"

	"github.com/brood-init/brood/test/internal/harness"
)

// container is one that a test has started.
type container struct {
	t    testing.TB
	name string
}

var containers atomic.Int64

// run starts a container: flags for docker, and the words for brood, both
// written as for a shell. Unless the flags say otherwise it has no network.
func run(t testing.TB, flags, words string) *container {
	t.Helper()
	return runImage(t, need(t), flags, words)
}

func runImage(t testing.TB, image, flags, words string) *container {
	t.Helper()
	c := create(t)
	args := append(c.flags(flags), "--detach")
	docker(t, append(append(args, image), split(t, words)...)...)
	return c
}

// create names a container and sees to its end.
func create(t testing.TB) *container {
	c := &container{t: t, name: thisRun + "-" + strconv.FormatInt(containers.Add(1), 10)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("container %s said:\n%s", c.name, c.said())
		}
		if _, err := tryDocker("rm", "--force", "--volumes", c.name); err != nil {
			t.Error(err)
		}
	})
	return c
}

// flags are what docker run gets.
func (c *container) flags(more string) []string {
	args := []string{"run", "--name", c.name, "--label", "brood.test=" + thisRun}
	given := split(c.t, more)
	if !slices.Contains(given, "--network") {
		args = append(args, "--network", "none")
	}
	return append(args, given...)
}

func split(t testing.TB, words string) []string {
	t.Helper()
	list, err := shellquote.Split(words)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// output is what a container has written until now: everything in order of
// arrival, and brood's own lines.
type output []string

func (c *container) output() output { return strings.Split(c.said(), "\n") }

func (c *container) said() string {
	out, err := exec.Command(dockerCLI(), "logs", c.name).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("docker logs: %v", err)
	}
	return string(out)
}

// with are the lines that have all the words.
func (o output) with(words ...string) (lines []string) {
	for _, line := range o {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// at is the place of the first line with all the words, -1 if there is none.
func (o output) at(words ...string) int {
	return slices.IndexFunc(o, func(line string) bool { return len(output{line}.with(words...)) > 0 })
}

// polls are rare enough not to keep the machine busy with docker commands.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(harness.Fatal)
	defer late.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// await waits for n lines with all the words.
func (c *container) await(n int, words ...string) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("%d lines have %q", n, words), func() bool { return len(c.output().with(words...)) >= n })
}

// wants checks how many lines have all the words. While the container runs, some
// may still be on their way.
func (c *container) wants(n int, words ...string) {
	c.t.Helper()
	var got []string
	harness.Within(harness.Fatal, func() bool {
		got = c.output().with(words...)
		return len(got) >= n
	})
	if len(got) != n {
		c.t.Errorf("%d lines have %q, want %d", len(got), words, n)
	}
}

// wantsOrder checks that lines come after each other. What is compared must
// have been written to the same stream: the engine reads two of them.
func (c *container) wantsOrder(each ...string) {
	c.t.Helper()
	said, last := c.output(), -1
	for _, words := range each {
		at := said.at(words)
		if at <= last {
			c.t.Errorf("the first line with %q is number %d, want one after %d", words, at, last)
		}
		last = max(at, last)
	}
}

// value is that of a key in the first line that has the words.
func (c *container) value(key string, words ...string) string {
	c.t.Helper()
	c.await(1, words...)
	for _, line := range c.output().with(words...) {
		for word := range strings.FieldsSeq(line) {
			if value, ok := strings.CutPrefix(word, key+"="); ok {
				return value
			}
		}
	}
	return ""
}

// state is what the engine knows.
type state struct {
	Status       string
	Running      bool
	OOMKilled    bool
	ExitCode     int
	RestartCount int
	Health       struct {
		Status string
		Log    []struct {
			ExitCode int
			Output   string
		}
	}
}

func (c *container) state() (s state) {
	c.t.Helper()
	format := `{{json .State}}`
	if err := json.Unmarshal([]byte(docker(c.t, "inspect", "--format", format, c.name)), &s); err != nil {
		c.t.Fatal(err)
	}
	count := docker(c.t, "inspect", "--format", "{{.RestartCount}}", c.name)
	s.RestartCount, _ = strconv.Atoi(count)
	return s
}

// ends waits for the end and checks the code.
func (c *container) ends(want int) {
	c.t.Helper()
	out := docker(c.t, "wait", c.name)
	if out != strconv.Itoa(want) {
		c.t.Errorf("the container ended with %s, want %d", out, want)
	}
}

// stops stops the container, checks its code and returns how long it took.
func (c *container) stops(want int, flags ...string) time.Duration {
	c.t.Helper()
	began := time.Now()
	docker(c.t, append(append([]string{"stop"}, flags...), c.name)...)
	took := time.Since(began)
	c.ends(want)
	return took
}

func (c *container) signal(name string) {
	c.t.Helper()
	docker(c.t, "kill", "--signal", name, c.name)
}

// exec runs a command in the container.
func (c *container) exec(words ...string) string {
	c.t.Helper()
	return docker(c.t, append([]string{"exec", c.name}, words...)...)
}

// process is one in a container, by its own PIDs.
type process struct {
	pid, ppid int
	state     string
	command   string
}

// processes are those of the container but for the one that lists them.
func (c *container) processes() (list []process) {
	c.t.Helper()
	return parsePS(c.exec("/guest", "ps"))
}

func parsePS(text string) (list []process) {
	for line := range strings.Lines(text) {
		var p process
		if _, err := fmt.Sscanf(line, "pid=%d ppid=%d state=%s", &p.pid, &p.ppid, &p.state); err != nil {
			continue
		}
		_, p.command, _ = strings.Cut(strings.TrimSpace(line), "command=")
		if p.command != "/guest ps" {
			list = append(list, p)
		}
	}
	return list
}

// brood is the PID of brood in the container.
func (c *container) brood() int {
	c.t.Helper()
	for _, p := range c.processes() {
		if strings.HasPrefix(p.command, "/brood ") {
			return p.pid
		}
	}
	c.t.Fatal("brood is not among the processes of the container")
	return 0
}

// lines is a buffer that is filled while it is read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) await(t testing.TB, n int, word string) {
	t.Helper()
	until(t, fmt.Sprintf("%q is said %d times", word, n), func() bool { return strings.Count(l.String(), word) >= n })
}
