package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/brood-init/brood/fanout"
)

func TestTheHighestSourceDecidesAboutTheDaemon(t *testing.T) {
	file := write(t, "BROOD_DAEMON=start")
	for _, test := range []struct {
		environ []string
		args    string
		want    DaemonAction
	}{
		{nil, "", ""},
		{nil, "--start", DaemonStart},
		{nil, "--daemon=restart", DaemonRestart},
		{nil, "--daemon=start --start", DaemonStart},
		{nil, "--start --nodaemon", ""},
		{nil, "--start=off", ""},
		{[]string{"BROOD_DAEMON=start"}, "", DaemonStart},
		{[]string{"BROOD_DAEMON=start"}, "--stop", DaemonStop},
		{[]string{"BROOD_DAEMON=start"}, "--nodaemon", ""},
		{[]string{"BROOD_NODAEMON=1"}, "--start", DaemonStart},
		{[]string{"BROOD_NODAEMON=1"}, "--env-file " + file, ""},
		{nil, "--env-file " + file, DaemonStart},
		{nil, "--env-file " + file + " --daemon=stop", DaemonStop},
	} {
		t.Run(fmt.Sprint(test.environ, test.args), func(t *testing.T) {
			c := mustLoad(t, test.environ, append(strings.Fields(test.args), "--", "service")...)
			if got, _, err := c.daemonAction(); got != test.want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestWhatContradictsItselfIsRefused(t *testing.T) {
	for _, args := range []string{"--start --stop", "--daemon=stop --start", "--daemon=restart --stop"} {
		if _, err := Load(append(strings.Fields(args), "--", "service"), nil); !isUsage(err) || !strings.Contains(err.Error(), "leave one of them out") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestOnlyAStopNeedsNoCommand(t *testing.T) {
	for args, fine := range map[string]bool{"--stop": true, "--daemon=stop": true, "--start": false, "--daemon=restart": false, "--nodaemon": false} {
		if _, err := Load(strings.Fields(args), nil); (err == nil) != fine {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestTheDaemonsMarkerIsTakenOnceAndOnlyFromWhoHasStartedIt(t *testing.T) {
	for value, genuine := range map[string]bool{strconv.Itoa(os.Getppid()): false, "x": false, "": false} {
		t.Setenv(detachedMarker, value)
		// 1 is nobody's parent here: the descriptor is not looked at.
		rest, report := takeDetached([]string{"A=1", detachedMarker + "=" + value, "B=2"}, 1)
		if (report != nil) != genuine || fmt.Sprint(rest) != "[A=1 B=2]" {
			t.Errorf("%q: %v, %v", value, rest, report)
		}
		if _, left := os.LookupEnv(detachedMarker); left {
			t.Errorf("%q is still there", value)
		}
	}
}

func TestCodesAreThoseOfInitScripts(t *testing.T) {
	denied := fmt.Errorf("cannot open: %w", fs.ErrPermission)
	for _, test := range []struct {
		err  error
		want int
	}{
		{errors.New("something"), 1},
		{&UsageError{Setting: "--x", Remedy: "y"}, 2},
		{denied, 4},
		{&UsageError{Setting: "--log-file", Remedy: "y", cause: denied}, 4},
		{&UsageError{Setting: "--log-file", Remedy: "y", cause: fs.ErrNotExist}, 1},
	} {
		if got := lsbCode(test.err); got != test.want {
			t.Errorf("%v: %d, want %d", test.err, got, test.want)
		}
	}
	for code, want := range map[int]int{1: 1, 7: 1, CodeUsage: 2, 137: 1, fanout.CodeInternal: 1, fanout.CodeNotFound: 5, fanout.CodeNotExecutable: 5} {
		if got := lsbStartCode(code); got != want {
			t.Errorf("a daemon that has ended with %d: %d, want %d", code, got, want)
		}
	}
}
