package terminal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestCtrlCReachesASingleWorkerOnce(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n1", "--", "worker", "slow", file, "400ms"}})
		harness.File(t, file)
		term.press(ctrlC)
		b.WantCode(t, 0)
		wantCount(t, harness.Content(file), " term\n", 1)
		wantCount(t, harness.Content(file), " cleaned\n", 1)
	})
}

func TestCtrlCStopsSeveralWorkersWithCode0(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n2", "--", "worker", "slow", file, "300ms"}})
		harness.Until(t, "both are ready", func() bool { return strings.Count(harness.Content(file), " ready\n") == 2 })
		term.press(ctrlC)
		b.WantCode(t, 0)
		wantCount(t, harness.Content(file), " term\n", 2)
		wantCount(t, harness.Content(file), " cleaned\n", 2)
	})
}

func TestASingleWorkerReadsTheTerminal(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n1", "--", "sh", "-c", "echo ready; tac"}})
		term.Screen.Await(t, "ready")
		term.enter("early")
		term.enter("middle")
		term.enter("late")
		term.press(ctrlD)
		b.WantCode(t, 0)
		harness.Until(t, "tac's lines are on the screen", func() bool {
			return regexp.MustCompile(`(?s)late.*late.*middle.*early`).MatchString(term.Screen.String())
		})
	})
}

func TestAShellAsTheOnlyWorkerHasJobControl(t *testing.T) {
	bash := harness.Need(t, "bash")
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b, term := onTerminal(t, m, harness.Options{Args: []string{"-n1", "--", bash, "--norc", "-i"}})
		term.enter("echo flags-$-")
		term.Screen.Await(t, "flags-h", "m")
		term.enter("sleep 300")
		harness.Until(t, "sleep runs", func() bool { return commBelow(b.PID, "sleep") != 0 })
		term.press(ctrlZ)
		term.Screen.Await(t, "Stopped")
		term.enter("fg")
		harness.Until(t, "sleep goes on", func() bool {
			p, _ := harness.Look(commBelow(b.PID, "sleep"))
			return p.State == 'S'
		})
		term.press(ctrlC)
		harness.Until(t, "sleep is over", func() bool { return commBelow(b.PID, "sleep") == 0 })
		term.enter("exit 5")
		harness.Until(t, "the shell is started again after its failure", func() bool { return term.Screen.Count("worker started") == 2 })
		term.enter("exit 0")
		b.WantCode(t, 0)
	})
}

// Under an interactive shell Ctrl-Z must give the prompt back.
func TestCtrlZStopsBroodAndItsWorkerAndFgResumesBoth(t *testing.T) {
	bash := harness.Need(t, "bash")
	m := harness.Mode{}
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	shell, term := onTerminal(t, m, harness.Options{
		Program: bash, Args: []string{"--norc", "-i"},
	})
	term.enter("brood --pidfile " + filepath.Dir(file) + "/run/brood.pid -n1 -- worker slow " + file + " 100ms")
	harness.File(t, file)
	brood, worker := commBelow(shell.PID, "brood"), commBelow(shell.PID, "worker")
	for range 3 {
		term.press(ctrlZ)
		stopped := func(pid int) bool { p, _ := harness.Look(pid); return p.State == 'T' }
		harness.Until(t, "brood and its worker are stopped", func() bool { return stopped(brood) && stopped(worker) })
		term.enter("fg")
		harness.Until(t, "brood and its worker go on", func() bool { return !stopped(brood) && !stopped(worker) })
	}
	// bg and back.
	term.press(ctrlZ)
	harness.Until(t, "brood is stopped", func() bool { p, _ := harness.Look(brood); return p.State == 'T' })
	term.enter("bg; echo in the background")
	harness.Until(t, "the worker goes on", func() bool { p, _ := harness.Look(worker); return p.State != 'T' })
	term.enter("fg")
	harness.Until(t, "the shell has handed the terminal over", func() bool {
		group := term.foreground()
		return group == worker || group == brood
	})
	term.press(ctrlC)
	harness.Until(t, "brood is gone", func() bool { return !harness.Alive(brood) })
	wantCount(t, harness.Content(file), " term\n", 1)
	term.enter("echo code-$?")
	term.Screen.Await(t, "code-0")
	term.enter("exit 0")
	shell.WantCode(t, 0)
}

// For a job that runs, fg hands the terminal to brood and sends nothing: brood
// passes it on when the worker asks for it.
func TestFgAfterBgGivesTheWorkerTheTerminalWhenItReads(t *testing.T) {
	bash := harness.Need(t, "bash")
	t.Parallel()
	dir := t.TempDir()
	ready, read := filepath.Join(dir, "ready"), filepath.Join(dir, "read")
	shell, term := onTerminal(t, harness.Mode{}, harness.Options{Program: bash, Args: []string{"--norc", "-i"}})
	// No shell: one that waits in vfork for a stopped child does not stop.
	term.enter("brood --pidfile " + dir + "/run/brood.pid --metrics-addr none -n1 -- worker read " + ready + " " + read)
	worker, err := strconv.Atoi(strings.TrimSpace(harness.File(t, ready)))
	if err != nil {
		t.Fatal(err)
	}
	brood := commBelow(shell.PID, "brood")
	stopped := func(pid int) bool { p, _ := harness.Look(pid); return p.State == 'T' }
	term.press(ctrlZ)
	harness.Until(t, "brood is stopped", func() bool { return stopped(brood) })
	term.enter("bg")
	harness.Until(t, "both go on", func() bool { return !stopped(brood) && !stopped(worker) })
	term.enter("fg")
	harness.Until(t, "the shell has handed the terminal over", func() bool { g := term.foreground(); return g == brood || g == worker })
	write(t, read, "")
	term.enter("a word")
	term.Screen.Await(t, "got-a word")
	harness.Until(t, "brood is gone", func() bool { return !harness.Alive(brood) })
	term.enter("echo code-$?")
	term.Screen.Await(t, "code-0")
	term.enter("exit 0")
	shell.WantCode(t, 0)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// In the background with tostop, who writes to the terminal gets SIGTTOU; a
// program that handles it can be made to try for ever.
func TestInTheBackgroundBroodDoesNotSpin(t *testing.T) {
	bash := harness.Need(t, "bash")
	m := harness.Mode{}
	t.Parallel()
	for name, n := range map[string]string{"one worker": "1", "two workers": "2"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			shell, term := onTerminal(t, m, harness.Options{Program: bash, Args: []string{"--norc", "-i"}})
			term.enter("stty tostop")
			term.enter("brood --pidfile " + dir + "/run/brood.pid -n" + n + " --restart-backoff=1ms..1ms --log-level=debug -- sleep 300 &")
			harness.Until(t, "the workers run", func() bool { return commBelow(shell.PID, "sleep") != 0 })
			brood := commBelow(shell.PID, "brood")
			before := harness.CPU(brood)
			<-time.After(500 * time.Millisecond)
			if used := harness.CPU(brood) - before; used > 100*time.Millisecond {
				t.Errorf("brood used %s of CPU in half a second", used)
			}
			term.enter("kill %1; wait %1; echo code-$?")
			term.Screen.Await(t, "code-0")
			term.enter("exit 0")
			shell.WantCode(t, 0)
		})
	}
}

func wantCount(t *testing.T, text, part string, want int) {
	t.Helper()
	if got := strings.Count(text, part); got != want {
		t.Errorf("%q is there %d times, want %d, in:\n%s", part, got, want, text)
	}
}

// commBelow is the living process of a name below another one, or 0.
func commBelow(pid int, comm string) int {
	for _, p := range harness.Descendants(pid) {
		if p.Comm == comm && p.State != 'Z' {
			return p.PID
		}
	}
	return 0
}
