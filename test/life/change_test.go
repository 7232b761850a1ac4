package life_test

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// ask runs a verb against a running brood and returns what it said and its code.
func ask(t *testing.T, b *harness.Brood, words ...string) (said string, code int) {
	t.Helper()
	// The control socket comes a moment after the first workers.
	harness.Within(harness.Fatal, func() bool {
		verb := exec.Command(harness.Binary(), append(words, "--pidfile", b.PIDFile)...)
		out, err := verb.CombinedOutput()
		if err != nil && verb.ProcessState == nil {
			t.Fatal(err)
		}
		said, code = string(out), verb.ProcessState.ExitCode()
		return b.HasEnded() || !strings.Contains(said, "no such file or directory") && !strings.Contains(said, "connection refused")
	})
	return said, code
}

func TestSIGHUPReplacesOneWorkerAfterAnother(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n3", "--ready", "50ms", "--", "sleep", "300")
		before := []int{b.Slot(1), b.Slot(2), b.Slot(3)}
		b.WaitRunning(3)
		b.Signal(syscall.SIGHUP)
		b.WaitLog("msg=reloaded", "replaced=3", "of=3")
		for slot, pid := range before {
			if now := b.Slot(slot + 1); now == pid {
				t.Errorf("slot %d still has process %d", slot+1, pid)
			}
		}
		// The next one goes only when the last is back.
		down := 0
		for _, line := range b.Stderr.All() {
			switch {
			case strings.Contains(line, `msg="ending worker"`):
				down++
			case strings.Contains(line, `msg="worker replaced"`):
				down--
			}
			if down > 1 {
				t.Errorf("two were down at once:\n%s", b.Stderr)
				break
			}
		}
		b.Stop(t, 0)
	})
}

func TestReloadingABrokenServiceKeepsTheOldWorkers(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		service := filepath.Join(dir, "service")
		write(t, service, "exec sleep 300\n")
		b := m.Start(t, "-n3", "--ready", "exec:grep -q sleep "+service, "--restart-backoff=10s..30s", "--", "sh", service)
		first, third := b.Slot(1), b.Slot(3)
		b.WaitRunning(3)
		harness.Until(t, "all are ready", func() bool { _, code := ask(t, b, "status"); return code == 0 })
		write(t, service, "exit 9\n")
		said, code := ask(t, b, "reload")
		if code != 1 || !strings.Contains(said, "slot 2") || !strings.Contains(said, "0 of 3") {
			t.Errorf("code %d:\n%s", code, said)
		}
		if b.Slot(1) != first || b.Slot(3) != third {
			t.Error("the others did not stay")
		}
		write(t, service, "exec sleep 300\n")
		if said, code := ask(t, b, "reload"); code != 0 {
			t.Errorf("the next one has code %d:\n%s", code, said)
		}
		b.Stop(t, 0)
	})
}

func TestTTINAndTTOUChangeTheNumberOfWorkers(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n2", "--max-processes", "3", "--", "sleep", "300")
		b.WaitRunning(2)
		b.Signal(syscall.SIGTTIN)
		third := b.Slot(3)
		b.Signal(syscall.SIGTTIN)
		b.WaitLog("cannot scale to 4", "--max-processes")
		b.Signal(syscall.SIGTTOU)
		harness.Until(t, "the third is gone", func() bool { return !harness.Alive(third) })
		harness.Until(t, "and so is its file", func() bool { return len(b.PIDFiles()) == 4 }) // two, the master's and the socket
		b.Signal(syscall.SIGTTOU)
		b.WaitLog("scaling", "to=1")
		b.Signal(syscall.SIGTTOU)
		b.WaitLog("cannot scale to 0", "at least 1")
		b.Stop(t, 0)
	})
}

func TestScaleFromTheCommandLine(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n0", "--", "sleep", "300")
		harness.Until(t, "brood answers", func() bool { _, code := ask(t, b, "health", "--live"); return code == 0 })
		for _, step := range []struct {
			to   string
			want int
		}{{"3", 3}, {"-1", 2}, {"+2", 4}, {"0", 0}, {"1", 1}} {
			if said, code := ask(t, b, "scale", step.to); code != 0 || !strings.Contains(said, "wanted workers: "+strconv.Itoa(step.want)) {
				t.Errorf("scale %s: code %d, %s", step.to, code, said)
			}
			harness.Until(t, step.to+" has come about", func() bool { return len(b.Workers()) == step.want })
		}
		if said, code := ask(t, b, "stop"); code != 0 || !strings.Contains(said, "exiting code=0") {
			t.Errorf("stop: code %d, %s", code, said)
		}
		b.WantCode(t, 0)
	})
}

func TestAReadyCommandDecides(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		b := m.Start(t, "-n2", "--ready", "exec:test -e "+dir+"/{slot}", "--ready-timeout", "20s", "--", "sleep", "300")
		b.WaitRunning(2)
		touch(t, filepath.Join(dir, "2"))
		harness.Until(t, "one is ready", func() bool { said, _ := ask(t, b, "status"); return strings.Contains(said, "1 of 2 workers are ready") })
		if said, code := ask(t, b, "health"); code != 1 {
			t.Errorf("health has code %d: %s", code, said)
		}
		touch(t, filepath.Join(dir, "1"))
		harness.Until(t, "both are ready", func() bool { _, code := ask(t, b, "health"); return code == 0 })
		b.Stop(t, 0)
	})
}

func TestAWorkerThatIsNeverReadyFails(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--ready", "exec:false", "--ready-timeout", "2s", "--max-restarts", "1/1m", "--restart-backoff", "1ms..1ms", "--", "sleep", "300")
		b.WantCode(t, 143)
		b.WaitLog("worker not ready in time", "slot=1", "the probe ended with code 1")
		b.WaitLog("worker exited", "reason=unready")
		b.WaitLog("msg=exiting", "reason=gave-up")
	})
}

func TestAnOldWorkerIsReplaced(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n2", "--ready", "10ms", "--max-age", "1s", "--", "sleep", "300")
		b.WaitLog("worker replaced", "slot=1", "cause=max-age")
		b.WaitLog("worker replaced", "slot=2", "cause=max-age")
		b.Stop(t, 0)
	})
}

// What only a look at the PID files tells is there when somebody asks.
func TestStatusListsRegisteredProcesses(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.StartWith(t, harness.Options{
			Args: []string{"-n1", "--", "sh", "-c", "setsid -f worker register 77 $F 1ms; exec sleep 300"},
			Env:  []string{"F=" + file},
		})
		harness.File(t, file)
		harness.Until(t, "the status names it", func() bool {
			said, _ := ask(t, b, "status")
			return strings.Contains(said, "77") && strings.Contains(said, "registered")
		})
		b.Stop(t, 0)
		removeStale(t, b, "77")
	})
}

func TestNoWorkerIsCalledLeftBehindThatHasBeenKilled(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "--stop-timeout", killing.String(), "-n2", "--finish", "true", "--", "worker", "ignore", file, "TERM")
		harness.Until(t, "both ignore", func() bool { return strings.Count(harness.Content(file), "ignores") == 2 })
		b.Stop(t, 137)
		if n := b.Stderr.Count("left behind"); n != 0 {
			t.Errorf("said:\n%s", b.Stderr)
		}
	})
}

func TestADrainLongerThanTheBudgetLeavesWorkersTheirSignal(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "--stop-timeout", "6s", "--drain-delay", "20s", "-n1", "--", "worker", "slow", file, "100ms")
		harness.File(t, file)
		began := time.Now()
		b.Stop(t, 0)
		wantWithin(t, 6*time.Second, began)
		wantLines(t, harness.Content(file), "cleaned", 1)
		b.WaitLog("drain delay over", "SIGTERM")
	})
}

func TestStatusCanBeWatchedAndNarrowedDown(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n3", "--", "sleep", "300")
		b.WaitRunning(3)
		harness.Until(t, "brood answers", func() bool { _, code := ask(t, b, "health", "--live"); return code == 0 })
		if said, _ := ask(t, b, "status", "-o", "wide", "2"); strings.Count(said, "\n2 ") != 1 || strings.Contains(said, "\n1 ") || !strings.Contains(said, "LEADER") {
			t.Errorf("status of slot 2:\n%s", said)
		}
		if said, code := ask(t, b, "status", "2", "9"); code != 1 || !strings.Contains(said, "there is no slot 9") {
			t.Errorf("status of a slot that is not there has code %d: %s", code, said)
		}
		offered, err := exec.Command(harness.Binary(), "__complete", "status", "--pidfile", b.PIDFile, "").Output()
		if err != nil || !strings.HasPrefix(string(offered), "1\t") || strings.Count(string(offered), "\t") != 3 {
			t.Errorf("completion offers %q, %v", offered, err)
		}
		watch := exec.Command(harness.Binary(), "status", "--watch", "--pidfile", b.PIDFile)
		out, err := watch.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := watch.Start(); err != nil {
			t.Fatal(err)
		}
		looks := 0
		for lines := bufio.NewScanner(out); looks < 2 && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "SLOT") {
				looks++
			}
		}
		b.Stop(t, 0)
		_, _ = io.Copy(io.Discard, out)
		if err := watch.Wait(); err != nil && watch.ProcessState.ExitCode() > 1 {
			t.Errorf("watching ended with %v", err)
		}
	})
}
