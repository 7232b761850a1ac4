package life_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// These stories were told by people who wanted to break brood.

func TestManyWorkersThatIgnoreTheStopDoNotKeepBrood(t *testing.T) {
	// More exits than the engine's queue holds. Not beside other tests: it takes
	// all that the machine has for a moment.
	for _, m := range harness.Modes {
		m.Need(t)
		const n = 300
		b := m.StartWith(t, harness.Options{
			Args:        []string{"-n", "300", "--stop-timeout", "500ms", "--", "sh", "-c", "trap '' TERM; while :; do sleep 300; done"},
			LeavesFiles: true, // there is no time to see everybody end
		})
		harness.Until(t, "all run", func() bool { return b.Stderr.Count(`msg="worker started"`) >= n || b.HasEnded() })
		began := time.Now()
		b.Stop(t, 137)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: it took %s", m, took)
		}
	}
}

func TestWhoNeededSIGKILLCountsEvenWithoutAnyTime(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.StartWith(t, harness.Options{Args: []string{"-n4", "--stop-timeout", "0", "--", "worker", "ignore", file, "TERM"}, LeavesFiles: true})
		harness.Until(t, "all ignore", func() bool { return strings.Count(harness.Content(file), "ignores") == 4 })
		b.Stop(t, 137)
	})
}

func TestABroodInAHookIsItsOwn(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--restart", "never", "--prepare", "brood --metrics-addr none -n1 --restart never -- echo migrated", "--", "echo", "served")
		b.WantCode(t, 0)
		if out := b.Stdout.String(); out != "migrated\nserved" {
			t.Errorf("got %q", out)
		}
	})
}

func TestAVerbEndsByCtrlC(t *testing.T) {
	m := harness.Mode{}
	t.Parallel()
	b := m.Start(t, "-n1", "--", "sleep", "300")
	b.WaitRunning(1)
	harness.Until(t, "brood answers", func() bool { _, code := ask(t, b, "health", "--live"); return code == 0 })
	verb := exec.Command(harness.Binary(), "events", "--pidfile", b.PIDFile)
	if err := verb.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = verb.Wait() }()
	harness.Until(t, "it ends", func() bool {
		_ = verb.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	b.Stop(t, 0)
}

func TestHealthOfABroodThatHangsIsBad(t *testing.T) {
	m := harness.Mode{}
	t.Parallel()
	b := m.Start(t, "-n1", "--", "sleep", "300")
	b.WaitRunning(1)
	harness.Until(t, "brood answers", func() bool { _, code := ask(t, b, "health", "--live"); return code == 0 })
	b.Signal(syscall.SIGSTOP)
	began := time.Now()
	if said, code := ask(t, b, "health"); code != 1 {
		t.Errorf("code %d: %s", code, said)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	b.Signal(syscall.SIGCONT)
	b.Stop(t, 0)
}

func TestAnEnvFileThatNobodyWritesIsRefused(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	b := harness.Mode{}.Start(t, "--env-file", fifo, "--", "true")
	b.WantCode(t, 2)
}

func TestRestartedWorkersStartWhereTheFirstOnesDid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real1, real2, link := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "link")
	for _, d := range []string{real1, real2} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(real1, link); err != nil {
		t.Fatal(err)
	}
	b := harness.Mode{}.StartWith(t, harness.Options{
		Args: []string{"-n1", "--restart-backoff", "1ms..1ms", "--", "sh", "-c", "/bin/pwd -P; exec sleep 300"},
		Dir:  link, Env: []string{"PWD=" + link},
	})
	b.Stdout.Await(t, "one")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real2, link); err != nil {
		t.Fatal(err)
	}
	first := b.Slot(1)
	if err := harness.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.SlotAfter(1, first)
	harness.Until(t, "it says where it is", func() bool { return len(b.Stdout.All()) == 2 })
	if out := b.Stdout.String(); strings.Count(out, "/one") != 2 {
		t.Errorf("got %s", out)
	}
	b.Stop(t, 0)
}

// In a directory where others may write, a name that can be foreseen is a trap.
func TestTheLastPageIsNotLedAstray(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		victim := filepath.Join(dir, "victim")
		write(t, victim, "precious")
		page := filepath.Join(dir, "page.prom")
		b := m.Start(t, "-n1", "--final-metrics", page, "--", "sleep", "300")
		for _, pid := range []string{"1", harness.Content(b.SlotFile("master"))} {
			_ = os.Symlink(victim, page+"."+strings.TrimSpace(pid))
		}
		b.WaitRunning(1)
		b.Stop(t, 0)
		if harness.Content(victim) != "precious" || !strings.Contains(harness.Content(page), "brood_build_info") {
			t.Errorf("the victim says %q, the page %q", harness.Content(victim), harness.Content(page))
		}
	})
}

func TestConnectionsDoNotKeepWorkersAndHooksFromStarting(t *testing.T) {
	t.Parallel()
	prlimit := harness.Need(t, "prlimit")
	b := harness.Mode{}.StartWith(t, harness.Options{
		Program: prlimit, Args: []string{"--nofile=64:64", harness.Binary(), "-n2", "--metrics-addr", "127.0.0.1:0", "--pidfile", filepath.Join(t.TempDir(), "run", "a.pid"), "--finish", "echo finished", "--", "sleep", "300"},
	})
	harness.Until(t, "both run", func() bool { return b.Stderr.Count(`msg="worker started"`) == 2 })
	b.Signal(syscall.SIGTERM)
	b.WantCode(t, 0)
	b.Stdout.Await(t, "finished")
}
