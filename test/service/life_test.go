package service_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestPrepareMainLoopAndFinishRunWhereTheyShould(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		s := start(t, m, nil, "-n3", "--", "-only=0", "wait", "for", "it")
		s.await(t, 3, "worker slot", "prepared=")
		s.Stop(t, 0)
		s.once(t)
		dir := filepath.Dir(s.notes)
		if got, want := s.noted("prepare")[0], "prepare count=3 dir="+dir; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := s.noted("finish")[0], `finish prepared="yes" bounded=true`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		first := `worker slot=1 index=0 count=3 incarnation=1 leader=true prepared="" environment=hello version=1 ` +
			`args=["-only=0" "wait" "for" "it"] marker="" dir=` + dir + ` pidpath=true`
		if s.count(first) != 1 {
			t.Errorf("the first worker should have said %q; there is:\n%s", first, harness.Content(s.notes))
		}
		if n := s.count("leader=true"); n != 1 {
			t.Errorf("%d leaders", n)
		}
		if n := s.count(`cause="asked to stop by terminated"`); n != 3 {
			t.Errorf("%d of 3 contexts have ended with the reason:\n%s", n, harness.Content(s.notes))
		}
		text := harness.Content(s.notes)
		if !strings.HasPrefix(text, "prepare") || strings.LastIndex(text, "worker") > strings.Index(text, "finish") {
			t.Errorf("prepare should come first and finish last:\n%s", text)
		}
	})
}

// Every stop signal that brood may pass on ends the context.
func TestEveryStopSignalEndsTheContext(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for name, test := range map[string]struct {
			flags []string
			sent  syscall.Signal
			cause string
		}{
			"TERM": {nil, syscall.SIGTERM, "terminated"},
			"INT":  {nil, syscall.SIGINT, "interrupt"},
			"QUIT": {nil, syscall.SIGQUIT, "quit"},
			"USR2": {[]string{"--stop-signal=USR2"}, syscall.SIGTERM, "user defined signal 2"},
		} {
			t.Run(name, func(t *testing.T) {
				s := start(t, m, nil, append(test.flags, "-n2", "--", "wait")...)
				s.await(t, 2, "worker slot", "prepared=")
				s.Signal(test.sent)
				s.WantCode(t, 0)
				if n := s.count(`cause="asked to stop by ` + test.cause + `"`); n != 2 {
					t.Errorf("%d of 2 contexts have ended with the reason:\n%s", n, harness.Content(s.notes))
				}
				s.once(t)
			})
		}
	})
}

// Each way in which one of the three functions can end, and what comes of it.
func TestTheEndOfAFunctionDecidesTheCode(t *testing.T) {
	for name, test := range map[string]struct {
		environ, args []string
		code          int
		reason        string // of the last line
		says          string // on stderr
		workers       int
	}{
		"all complete":      {args: []string{"-n2", "--", "complete"}, reason: "completed", workers: 2},
		"an error":          {args: []string{"-n2", "--fail-fast", "--", "error"}, code: 1, reason: "failed slot=", says: ": the queue is gone", workers: -1},
		"a panic":           {args: []string{"-n1", "--restart=never", "--", "panic"}, code: 2, reason: "failed slot=1", says: "panic: main loop panics", workers: 1},
		"os.Exit":           {args: []string{"-n1", "--restart=never", "--", "exit", "9"}, code: 9, reason: "failed slot=1", workers: 1},
		"prepare fails":     {environ: []string{"PREPARE=error"}, args: []string{"-n2"}, code: 1, reason: "failed hook=prepare", says: `error="no database"`},
		"prepare panics":    {environ: []string{"PREPARE=panic"}, args: []string{"-n2"}, code: 2, reason: "failed hook=prepare", says: "main.prepare"},
		"prepare times out": {environ: []string{"PREPARE=stuck"}, args: []string{"-n2", "--prepare-timeout=100ms", "--stop-timeout=2s"}, code: 124, reason: "failed hook=prepare"},
		"finish fails":      {environ: []string{"FINISH=error"}, args: []string{"-n1", "--", "complete"}, code: 1, reason: "failed hook=finish", says: `error="cannot flush"`, workers: 1},
		"finish panics":     {environ: []string{"FINISH=panic"}, args: []string{"-n1", "--", "complete"}, code: 2, reason: "failed hook=finish", says: "main.finish", workers: 1},
		"finish times out":  {environ: []string{"FINISH=stuck"}, args: []string{"-n1", "--stop-timeout=1s", "--finish-timeout=200ms", "--", "complete"}, code: 124, reason: "failed hook=finish", workers: 1},
		"a worker outranks finish": {
			environ: []string{"FINISH=error"},
			args:    []string{"-n1", "--restart=never", "--", "exit", "9"}, code: 9, reason: "failed slot=1", workers: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				s := start(t, m, test.environ, test.args...)
				s.WantCode(t, test.code)
				s.once(t)
				s.WaitLog("msg=exiting", "reason="+test.reason)
				if test.says != "" {
					s.WaitLog(test.says)
				}
				if n := len(s.noted("worker")); n != test.workers && test.workers >= 0 {
					t.Errorf("%d workers have started, want %d", n, test.workers)
				}
			})
		})
	}
}

func TestAStopDuringPrepareStartsNobody(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for _, how := range []string{"slow", "stuck"} {
			s := start(t, m, []string{"PREPARE=" + how}, "-n2", "--stop-timeout=2s")
			s.await(t, 1, "prepare")
			s.Stop(t, 0)
			s.once(t)
			if got := s.noted("worker"); len(got) > 0 {
				t.Errorf("%s: workers have started: %q", how, got)
			}
		}
	})
}

func TestAWorkerThatIgnoresItsContextIsKilledAtTheGrace(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		s := start(t, m, nil, "-n2", "--stop-timeout=2s", "--finish-timeout=500ms", "--", "-only=2", "ignore")
		s.await(t, 2, "worker slot")
		s.Stop(t, 137)
		s.once(t)
		s.WaitLog("msg=exiting", "reason=killed slot=2")
	})
}

func TestAFailedWorkerIsRestartedAndSoIsAPanickedOne(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		s := start(t, m, nil, "-n1", "--", "panic")
		s.await(t, 1, "worker slot=1", "incarnation=3")
		s.Signal(syscall.SIGTERM)
		s.Wait()
		s.once(t)
	})
}

// The parent reaps whatever ends, but not away from Prepare and Finish.
func TestPrepareAndFinishMayRunCommands(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		s := start(t, m, []string{"PREPARE=exec", "FINISH=exec"}, "-n2", "--", "complete")
		s.WantCode(t, 0)
		s.once(t)
	})
}

func TestAHelperBesideTheWorkersIsStoppedWithThem(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		heard := filepath.Join(t.TempDir(), "helper")
		s := start(t, m, []string{"PREPARE=helper", "HELPER=" + heard}, "-n2", "--", "wait")
		s.await(t, 2, "worker slot")
		harness.Until(t, "the helper hears signals", func() bool { return harness.Content(heard) != "" })
		harness.Until(t, "status shows the helper", func() bool {
			out, _ := exec.Command(program, "status", "-o", "json", "--pidfile", s.PIDFile).Output()
			return strings.Contains(string(out), `"index": 0`)
		})
		s.Stop(t, 0)
		if text := harness.Content(heard); strings.Count(text, "15") != 1 {
			t.Errorf("the helper has heard:\n%s", text)
		}
		_ = os.Remove(strings.TrimSuffix(s.PIDFile, ".pid") + ".0.pid") // its own, and nobody has taken it back
	})
}

// A worker that is a service of its own is no worker of the outer one.
func TestAServiceWithinAServiceIsAParentAgain(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		inner := filepath.Join(t.TempDir(), "inner", "program.pid")
		s := start(t, m, []string{"INNER=" + inner}, "-n1", "--", "nested")
		s.await(t, 2, "worker slot", `args=["wait"]`)
		if n := s.count("prepare"); n < 2 {
			t.Errorf("Prepare has run %d times, want once in each service", n)
		}
		s.Stop(t, 0)
		if got := s.noted("finish"); len(got) != 2 {
			t.Errorf("Finish has run %d times, want once in each service", len(got))
		}
	})
}
