package entrypoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/lookpath"
	"github.com/brood-init/brood/internal/output"
)

// brooded is a brood of two slots, 90 s old, whose second has ended again and
// again.
func brooded(now time.Time, last *fanout.LastExit) *fanout.Snapshot {
	return &fanout.Snapshot{Began: now.Add(-90 * time.Second), Slots: []*fanout.SlotView{
		{Slot: 1, Incarnation: 1}, {Slot: 2, Incarnation: 3, Last: last},
	}}
}

func TestTheTerminationMessageIsForPeopleAndMachines(t *testing.T) {
	now := time.Now()
	notFound := fmt.Errorf("cannot find %q in PATH: %w", "secret-name", lookpath.ErrNotFound)
	refused := fmt.Errorf("cannot start %q: %w", "secret-name", syscall.EACCES)
	for name, test := range map[string]struct {
		of         termination
		text, json string
	}{
		"it gave up": {
			terminationOf(fanout.Outcome{Code: 7, Reason: fanout.ReasonGaveUp, Slot: 2}, brooded(now, &fanout.LastExit{
				Code: 7, Reason: fanout.ReasonFailed, Uptime: 1500 * time.Millisecond,
				Words: &output.Words{Line: "ValueError: <no cheese>", Lines: []string{"Traceback:", "ValueError: <no cheese>"}},
			}), now),
			"brood: exiting with code 7: gave-up, decided by the worker in slot 2, after 2 restarts: ValueError: <no cheese>",
			`{"code":7,"reason":"gave-up","slot":2,"uptime_seconds":90,"workers_started":4,"restarts":2,` +
				`"worker":{"code":7,"reason":"failed","uptime_seconds":1.5,"last_line":"ValueError: <no cheese>","last_lines":["Traceback:","ValueError: <no cheese>"]}}`,
		},
		"a child was killed": {
			terminationOf(fanout.Outcome{Code: 1, Reason: fanout.ReasonFailed, Slot: 2},
				brooded(now, &fanout.LastExit{Code: 1, Reason: fanout.ReasonFailed, OOMKills: 2}), now),
			"brood: exiting with code 1: failed, decided by the worker in slot 2, after 2 restarts; the kernel had killed 2 processes of the container for lack of memory",
			`{"code":1,"reason":"failed","slot":2,"uptime_seconds":90,"workers_started":4,"restarts":2,"worker":{"code":1,"reason":"failed","uptime_seconds":0,"oom_kills":2}}`,
		},
		"all is well": {
			terminationOf(fanout.Outcome{Reason: fanout.ReasonRequested}, brooded(now, nil), now),
			"brood: exiting with code 0: requested",
			`{"code":0,"reason":"requested","uptime_seconds":90,"workers_started":4,"restarts":2}`,
		},
		"prepare failed": {
			terminationOf(fanout.Outcome{Code: 4, Reason: fanout.ReasonFailed, Hook: fanout.KindPrepare}, &fanout.Snapshot{Began: now}, now),
			"brood: exiting with code 4: failed, decided by the prepare hook; no worker was started",
			`{"code":4,"reason":"failed","hook":"prepare","uptime_seconds":0,"workers_started":0}`,
		},
		"no such command": {
			terminationOf(fanout.Outcome{Code: 127, Reason: fanout.ReasonStartFailed, Slot: 1, Err: notFound}, &fanout.Snapshot{Began: now}, now),
			"brood: exiting with code 127: start-failed, decided by the worker in slot 1: the command was not found; no worker was started",
			`{"code":127,"reason":"start-failed","slot":1,"error":"the command was not found","uptime_seconds":0,"workers_started":0}`,
		},
		"not to be executed": {
			terminationOf(fanout.Outcome{Code: 126, Reason: fanout.ReasonStartFailed, Slot: 1, Err: refused}, &fanout.Snapshot{Began: now}, now),
			"brood: exiting with code 126: start-failed, decided by the worker in slot 1: the command cannot be executed: permission denied; no worker was started",
			`{"code":126,"reason":"start-failed","slot":1,"error":"the command cannot be executed: permission denied","uptime_seconds":0,"workers_started":0}`,
		},
		"a setting": {
			terminationOfError(&UsageError{Setting: "--env", Value: "PASSWORD=secret-name", Remedy: "not secret-name"}, newConfig(Program{}).rows),
			"brood: exiting with code 2: usage: --env, the log says more; no worker was started",
			`{"code":2,"reason":"usage","setting":"--env","uptime_seconds":0,"workers_started":0}`,
		},
		"a variable in a file": {
			terminationOfError(&UsageError{Setting: "BROOD_ENV in /etc/env", Value: "x"}, newConfig(Program{}).rows),
			"brood: exiting with code 2: usage: BROOD_ENV, the log says more; no worker was started",
			`{"code":2,"reason":"usage","setting":"BROOD_ENV","uptime_seconds":0,"workers_started":0}`,
		},
		"no setting of ours": {
			terminationOfError(&UsageError{Setting: "-psecret-name"}, newConfig(Program{}).rows),
			"brood: exiting with code 2: usage; no worker was started",
			`{"code":2,"reason":"usage","uptime_seconds":0,"workers_started":0}`,
		},
		"its own failure": {
			terminationOfError(errors.New("cannot open secret-name"), newConfig(Program{}).rows),
			"brood: exiting with code 125: internal; no worker was started",
			`{"code":125,"reason":"internal","uptime_seconds":0,"workers_started":0}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := string(test.of.message())
			if want := test.text + "\n" + test.json + "\n"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if strings.Contains(got, "secret") {
				t.Error("it tells what was given on the command line")
			}
		})
	}
}

func TestTheTerminationMessageFitsAndStaysJSON(t *testing.T) {
	worst := strings.Repeat(`"`, 512) // each takes two bytes in JSON
	lines := []string{worst, worst, worst, worst, worst, "the last"}
	now := time.Now()
	got := terminationOf(fanout.Outcome{Code: 1, Reason: fanout.ReasonFailed, Slot: 2}, brooded(now, &fanout.LastExit{
		Code: 1, Reason: fanout.ReasonFailed, Words: &output.Words{Line: worst, Lines: lines},
	}), now).message()
	if len(got) > mostTermination || len(got) < mostTermination/2 {
		t.Errorf("it has %d bytes", len(got))
	}
	_, second, _ := bytes.Cut(got, []byte("\n"))
	var parsed termination
	if err := json.Unmarshal(second, &parsed); err != nil {
		t.Fatal(err)
	}
	if kept := parsed.Worker.LastLines; len(kept) == 0 || kept[len(kept)-1] != "the last" {
		t.Errorf("of the lines %d are left", len(kept))
	}
}

func TestTheApplicationsOwnTerminationMessageIsKept(t *testing.T) {
	for name, test := range map[string]struct{ before, want string }{
		"an empty file":         {"", "message"},
		"one in use":            {"out of cheese", "out of cheese"},
		"that of another brood": {ours + "0: completed\n{}\n", "message"},
		"a shorter one":         {"brood: x", "brood: x"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(test.before), 0o644); err != nil {
				t.Fatal(err)
			}
			c := newConfig(Program{})
			c.TerminationLog.Value = path
			if err := c.writeTermination([]byte("message")); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); string(got) != test.want {
				t.Errorf("the file says %q", got)
			}
		})
	}
}

func TestATerminationLogThatCannotBeWrittenIsToldAndNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	silent, full := filepath.Join(dir, "silent"), filepath.Join(dir, "full")
	for _, path := range []string{silent, full} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := unix.Open(full, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reader)
	for err == nil {
		_, err = unix.Write(reader, make([]byte, 4096))
	}
	for name, path := range map[string]string{
		"no directory":           filepath.Join(dir, "missing", "log"),
		"a directory":            dir,
		"a pipe nobody reads":    silent,
		"a pipe that is full":    full,
		"a disk that is full":    "/dev/full",
		"a file system of /proc": "/proc/self/nothing",
	} {
		t.Run(name, func(t *testing.T) {
			c := newConfig(Program{})
			c.TerminationLog.Value = path
			began := time.Now()
			if err := c.writeTermination([]byte("x")); err == nil || !strings.Contains(err.Error(), "--termination-log") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	c := newConfig(Program{})
	c.TerminationLog.Value = nowhere
	if err := c.writeTermination([]byte("x")); err != nil {
		t.Errorf("none: %v", err)
	}
}

func TestWhatHangsOrPanicsAtTheEndIsLeft(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	if err := within(time.Millisecond, func() { <-never }); err != nil {
		t.Errorf("it hung: %v", err)
	}
	if err := within(time.Minute, func() { panic("cheese") }); err == nil || !strings.Contains(err.Error(), "cheese") {
		t.Errorf("it panicked: %v", err)
	}
	now := time.Now()
	for left, want := range map[time.Duration]time.Duration{
		-time.Second: leastLeaving, 200 * time.Millisecond: 200 * time.Millisecond, time.Hour: mostLeaving,
	} {
		if got := leavingTime(&fanout.Snapshot{StopBy: now.Add(left)}, now); got != want {
			t.Errorf("with %s left it takes %s, want %s", left, got, want)
		}
	}
	if got := leavingTime(&fanout.Snapshot{}, now); got != mostLeaving {
		t.Errorf("after a panic it takes %s", got)
	}
}
