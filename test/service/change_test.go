package service_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// verb runs a verb of the program itself.
func (s service) verb(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append(args, "--pidfile", s.PIDFile)...).CombinedOutput()
	if err != nil {
		t.Errorf("%q: %v\n%s\nit said:\n%s", args, err, out, s.Stderr)
	}
	return string(out)
}

func TestTheProgramHasTheVerbsOfBrood(t *testing.T) {
	t.Parallel()
	s := start(t, harness.Mode{}, nil, "-n1", "--", "wait")
	s.WaitRunning(1)
	harness.Until(t, "it is healthy", func() bool { return exec.Command(program, "health", "--pidfile", s.PIDFile).Run() == nil })
	s.verb(t, "scale", "3")
	s.await(t, 1, "worker slot=3", "count=3")
	s.verb(t, "reload")
	s.await(t, 1, "worker slot=3", "incarnation=2")
	s.verb(t, "scale", "1")
	harness.Until(t, "one worker is left", func() bool { return len(harness.Children(s.PID)) == 1 })
	if out := s.verb(t, "status"); !strings.Contains(out, "SLOT") {
		t.Errorf("status says:\n%s", out)
	}
	s.verb(t, "stop")
	s.WantCode(t, 0)
	s.once(t)
}

func TestSignalsReloadAndScale(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		s := start(t, m, nil, "-n2", "--", "wait")
		s.await(t, 2, "worker slot")
		s.Signal(syscall.SIGHUP)
		s.WaitLog("msg=reloaded")
		s.Signal(syscall.SIGTTIN)
		s.await(t, 1, "worker slot=3", "count=3")
		s.Stop(t, 0)
		s.once(t)
	})
}

// A reload starts the program that has the name now; the parent stays.
func TestAReloadStartsTheProgramThatHasTakenItsPlace(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		link := filepath.Join(dir, "current")
		if err := os.Symlink(program, link); err != nil {
			t.Fatal(err)
		}
		s := startFile(t, m, link, nil, "-n2", "--", "wait")
		s.await(t, 2, "worker slot", "version=1")
		if err := os.Symlink(next, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGHUP)
		s.await(t, 2, "worker slot", "version=2")
		s.WaitLog("msg=reloaded")
		s.Stop(t, 0)
	})
}

func TestASurgeWithASharedSocketLosesNoRequest(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		address := harness.Address(t)
		s := start(t, m, nil, "-n2", "--max-unavailable=0", "--max-surge=1", "--listen=web=tcp://"+address, "--", "serve")
		s.WaitRunning(2)
		var (
			answered atomic.Int64
			clients  sync.WaitGroup
			ended    = make(chan struct{})
			wrong    = make(chan error, 4)
		)
		for range 4 {
			clients.Go(func() {
				client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
				for {
					select {
					case <-ended:
						return
					default:
					}
					answer, err := client.Get("http://" + address)
					if err == nil {
						_, err = io.ReadAll(answer.Body)
						_ = answer.Body.Close()
					}
					if err != nil {
						wrong <- fmt.Errorf("after %d answers: %w", answered.Load(), err)
						return
					}
					answered.Add(1)
				}
			})
		}
		for range 3 {
			before := s.Stderr.Count("msg=reloaded")
			s.Signal(syscall.SIGHUP)
			harness.Until(t, "a reload is over", func() bool { return s.Stderr.Count("msg=reloaded") > before || s.HasEnded() })
		}
		close(ended)
		clients.Wait()
		select {
		case err := <-wrong:
			t.Error(err)
		default:
			t.Logf("%d requests, none lost", answered.Load())
		}
		s.Stop(t, 0)
	})
}

func TestReadyAndWatchdogReachTheParent(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		s := start(t, m, nil, "-n2", "--ready=notify", "--watchdog=2s", "--log-level=debug", "--", "notify")
		harness.Until(t, "both are ready", func() bool { return s.Stderr.Count(`msg="worker ready"`) == 2 || s.HasEnded() })
		harness.Never(t, 5*time.Second, "a worker is stuck", func() bool { return s.Stderr.Find("stuck") != "" })
		s.Stop(t, 0)
	})
}

// Flags, environment and env file outrank what stands in the code.
func TestDefaultsInTheCodeComeLast(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("BROOD_READY=3s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		environ, args []string
		want          string
	}{
		{nil, nil, "ready 50ms (program)"},
		{nil, []string{"--env-file", file}, "ready 3s (env-file)"},
		{[]string{"BROOD_READY=4s"}, []string{"--env-file", file}, "ready 4s (environment)"},
		{[]string{"BROOD_READY=4s"}, []string{"--env-file", file, "--ready=5s"}, "ready 5s (flag)"},
	} {
		check := exec.Command(program, append([]string{"check"}, test.args...)...)
		check.Env = test.environ
		out, err := check.CombinedOutput()
		if err != nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%q %q: %v, want %q in:\n%s", test.environ, test.args, err, test.want, out)
		}
	}
}

func TestACommandLineThatIsWrongStartsNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"work"}, `program: cannot use work: it is no flag; words for the program itself come after --`},
		{[]string{"--prepare=true"}, `program: cannot use --prepare "true": the program has a Prepare of its own: leave it out`},
		{[]string{"--proceses=2"}, `did you mean --processes?`},
	} {
		run := exec.Command(program, test.args...)
		out, _ := run.CombinedOutput()
		if code := run.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), test.says) {
			t.Errorf("%q: code %d, %s", test.args, code, out)
		}
	}
}

// The packages of a program may take their time to initialise, and what arrives
// meanwhile is not lost to a program that imports package early.
func TestASignalBeforeMainStopsTheService(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		held, gate := filepath.Join(dir, "held"), filepath.Join(dir, "gate")
		s := start(t, m, []string{"HELD=" + held, "GATE=" + gate}, "-n2", "--", "wait")
		harness.File(t, held)
		s.Signal(syscall.SIGTERM)
		if err := harness.Touch(gate); err != nil {
			t.Fatal(err)
		}
		s.WantCode(t, 0)
		s.WaitLog("msg=exiting", "code=0", "reason=requested")
	})
}

// The program is its own daemon as it is its own brood.
func TestTheProgramRunsInTheBackground(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := service{notes: filepath.Join(dir, "notes")}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"--pidfile", filepath.Join(dir, "run", "program.pid"), "--log-file", filepath.Join(dir, "log")}, args...)...)
		cmd.Dir, cmd.Env = dir, []string{"NOTES=" + s.notes, "PATH=" + harness.Path()}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := run("--start", "-n2", "--", "wait"); out != "program: started, 2 workers\n" {
		t.Errorf("start says %q", out)
	}
	// Who was alive for 50 ms is ready, and may be stopped before it begins.
	begun := func(n int) {
		t.Helper()
		harness.Until(t, "the workers have begun", func() bool { return s.count("worker slot", "prepared=") == n })
	}
	begun(2)
	if out := run("--daemon=restart", "-n3", "--", "wait"); !strings.HasSuffix(out, "program: started, 3 workers\n") {
		t.Errorf("restart says %q", out)
	}
	begun(2 + 3)
	if out := run("--stop"); out != "program: stopped\n" {
		t.Errorf("stop says %q", out)
	}
	if n := len(s.noted("prepare")); n != 2 || len(s.noted("finish")) != 2 || s.count("cause=") != 5 {
		t.Errorf("the notes are:\n%s", harness.Content(s.notes))
	}
	if got, want := s.noted("prepare")[0], "prepare count=2 dir="+dir; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "run")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}
