// Package daemon_test starts and stops brood in the background.
package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// place is where one test has its daemon.
type place struct {
	t       *testing.T
	dir     string
	pidfile string
	log     string
	mark    string
	environ []string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t: t, dir: dir, pidfile: filepath.Join(dir, "run", "web.pid"), log: filepath.Join(dir, "log"), mark: harness.NewMark()}
	p.environ = []string{"PATH=" + harness.Path(), "HOME=/", p.mark, "BROOD_METRICS_ADDR=none", "BROOD_READY=10ms"}
	t.Cleanup(func() {
		for _, left := range harness.Marked(p.mark) {
			t.Errorf("left behind: process %d (%s)", left.PID, left.Comm)
			_ = harness.Kill(left.PID, unix.SIGKILL)
		}
		reapOrphans()
		if t.Failed() {
			t.Logf("the log:\n%s", harness.Content(p.log))
		}
	})
	return p
}

// reapOrphans takes away daemons that have ended: without a process 1 that does
// they are the tests' own. Nobody else may be waiting for a process now.
func reapOrphans() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// answer is how a command has ended.
type answer struct {
	code int
	out  string
}

// command is brood with the place's PID files, not started yet.
func (p *place) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, harness.Binary(), args...)
	cmd.Env, cmd.Dir = append([]string{"BROOD_PIDFILE=" + p.pidfile, "BROOD_LOG_FILE=" + p.log}, p.environ...), p.dir
	return cmd
}

func (p *place) run(args ...string) answer {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*harness.Fatal)
	defer cancel()
	var out bytes.Buffer
	cmd := p.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run()
	if ctx.Err() != nil {
		p.t.Fatalf("%q does not return; it said:\n%s", args, &out)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String()}
}

// want runs and checks the code, and a word in what is said.
func (p *place) want(code int, says string, args ...string) {
	p.t.Helper()
	if got := p.run(args...); got.code != code || !strings.Contains(got.out, says) {
		p.t.Fatalf("%q: code %d, want %d; %q, want %q in it", args, got.code, code, got.out, says)
	}
}

// pid is in the file of a slot, or "master".
func (p *place) pid(slot string) int {
	n, _ := strconv.Atoi(strings.TrimSpace(harness.Content(p.file(slot))))
	return n
}

func (p *place) file(slot string) string {
	return strings.TrimSuffix(p.pidfile, ".pid") + "." + slot + ".pid"
}

// files are the names beside the PID files.
func (p *place) files() []string {
	entries, _ := os.ReadDir(filepath.Dir(p.pidfile))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// nothingRuns checks that no process and no file is left.
func (p *place) nothingRuns() {
	p.t.Helper()
	for _, left := range harness.Marked(p.mark) {
		p.t.Errorf("process %d (%s) runs", left.PID, left.Comm)
	}
	if names := p.files(); len(names) > 0 {
		p.t.Errorf("files are left: %q", names)
	}
}

// bystander is a process that nobody may touch.
func bystander(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !harness.Alive(cmd.Process.Pid) {
			t.Error("a process that has nothing to do with it was ended")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// put writes a PID file as others might, long ago or now.
func (p *place) put(slot string, pid int, age time.Duration) {
	p.t.Helper()
	path := p.file(slot)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o644); err != nil {
		p.t.Fatal(err)
	}
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		p.t.Fatal(err)
	}
}
