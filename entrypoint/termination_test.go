package entrypoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
)

func TestTheTerminationMessageIsForPeopleAndMachines(t *testing.T) {
	message := string(terminationMessage(fanout.Outcome{Code: 7, Reason: fanout.ReasonGaveUp, Slot: 2}, 90*time.Second))
	want := "brood: exiting with code 7: gave-up, decided by the worker in slot 2\n" +
		`{"code":7,"reason":"gave-up","slot":2,"uptime_seconds":90}` + "\n"
	if message != want {
		t.Errorf("got  %q\nwant %q", message, want)
	}
}

func TestTheApplicationsOwnTerminationMessageIsKept(t *testing.T) {
	for name, test := range map[string]struct{ before, want string }{
		"an empty file": {"", "message"},
		"one in use":    {"out of cheese", "out of cheese"},
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

func TestATerminationLogThatCannotBeWrittenIsTold(t *testing.T) {
	c := newConfig(Program{})
	c.TerminationLog.Value = filepath.Join(t.TempDir(), "missing", "log")
	if err := c.writeTermination([]byte("x")); err == nil || !strings.Contains(err.Error(), "--termination-log") {
		t.Errorf("got %v", err)
	}
	c.TerminationLog.Value = nowhere
	if err := c.writeTermination([]byte("x")); err != nil {
		t.Errorf("none: %v", err)
	}
}
