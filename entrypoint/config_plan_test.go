package entrypoint

import (
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/expand"
)

func plan(t *testing.T, count int, environ []string, args ...string) fanout.Plan {
	t.Helper()
	p, err := mustLoad(t, environ, args...).Plan(count)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanByDefault(t *testing.T) {
	got := plan(t, 3, nil, "--", "service", "{index}")
	if got.Signals[syscall.SIGTERM].Kind != fanout.ActionStop {
		t.Error("SIGTERM does not stop")
	}
	got.Signals = nil
	want := fanout.Plan{
		Command: []string{"service", "{index}"}, Environment: []string{}, Count: 3, FollowLimits: true,
		ReadyAfter: time.Second, ReadyTimeout: time.Minute, Disruption: fanout.Disruption{MaxUnavailable: 1},
		Restart: fanout.RestartOnFailure, Backoff: fanout.Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second},
		MaxRestarts: fanout.CrashBudget{Failures: 10, Window: 5 * time.Minute}, Leftovers: fanout.LeftoversKill,
		Stop: fanout.NewSchedule(9*time.Second, 0, 0), SecondSignal: fanout.SecondSignalHasten,
	}
	if !reflect.DeepEqual(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestPlanInFull(t *testing.T) {
	got := plan(t, 2, []string{"HOME=/h"}, "--expand-args", "--env=HTTP={8080+index}", "--group", "--ready=2", "--ready-timeout=5", "--watchdog=3",
		"--max-age=1h", "--max-rss=1m", "--min-processes=2", "--max-processes=9", "--max-unavailable=3", "--max-surge=2", "--restart=never", "--restart-backoff=1..2",
		"--max-restarts=0/1s", "--fail-fast", "--leftovers=keep", "--stop-signal=INT", "--stop-timeout=20", "--drain-delay=1", "--second-signal=ignore",
		"--exit-code=143=0", "--signal=HUP=USR1", "--prepare=p 1", "--prepare-timeout=3", "--finish=f", "--finish-timeout=4", "--on-worker-exit=w",
		"--", "service", "--port={9000+index}")
	if got.Signals[syscall.SIGHUP] != (fanout.Action{Kind: fanout.ActionForward, Signal: syscall.SIGUSR1}) {
		t.Errorf("HUP: %v", got.Signals[syscall.SIGHUP])
	}
	second := expand.Values{Slot: 2, Index: 1, Count: 2}
	if len(got.Arguments) != 1 || got.Arguments[0].Expand(second) != "--port=9001" {
		t.Errorf("arguments: %v", got.Arguments)
	}
	if v := got.WorkerEnvironment; len(v) != 1 || v[0].Key != "HTTP" || v[0].Value.Expand(second) != "8081" {
		t.Errorf("worker environment: %v", v)
	}
	got.Signals, got.Arguments, got.WorkerEnvironment = nil, nil, nil
	want := fanout.Plan{
		Command: []string{"service", "--port={9000+index}"}, Environment: []string{"HOME=/h"}, Count: 2, FollowLimits: true, Group: true,
		ReadyAfter: 2 * time.Second, ReadyTimeout: 5 * time.Second, Watchdog: 3 * time.Second, MaxAge: time.Hour, MaxRSS: 1 << 20, MinCount: 2, MaxCount: 9,
		Disruption: fanout.Disruption{MaxUnavailable: 3, MaxSurge: 2},
		Restart:    fanout.RestartNever, Backoff: fanout.Backoff{Min: time.Second, Max: 2 * time.Second}, MaxRestarts: fanout.CrashBudget{Window: time.Second},
		FailFast: true, Leftovers: fanout.LeftoversKeep, StopSignal: syscall.SIGINT, SecondSignal: fanout.SecondSignalIgnore,
		Stop:         fanout.NewSchedule(20*time.Second, time.Second, 4*time.Second),
		Prepare:      fanout.Hook{Args: []string{"p", "1"}, Timeout: 3 * time.Second},
		Finish:       fanout.Hook{Args: []string{"f"}, Timeout: 4 * time.Second},
		OnWorkerExit: fanout.Hook{Args: []string{"w"}, Timeout: 5 * time.Second}, ExitCodes: map[int]int{143: 0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestStdin(t *testing.T) {
	file := write(t, "BROOD_PROCESSES=1")
	for _, test := range []struct {
		environ []string
		args    string
		want    bool
	}{
		{nil, "", false},
		{nil, "-n1", true},
		{nil, "-n2", false},
		{nil, "-n auto", false},
		{nil, "-n -1", false},
		{[]string{"BROOD_PROCESSES=1"}, "", true},
		{nil, "--env-file " + file, true},
		{nil, "-n0", false},
	} {
		if got := plan(t, 1, test.environ, append(strings.Fields(test.args), "--", "service")...).InheritStdin; got != test.want {
			t.Errorf("%v %s: %v", test.environ, test.args, got)
		}
	}
}

func TestCount(t *testing.T) {
	limits := cgroup.Limits{Affinity: 4, Memory: 1 << 30}
	for args, want := range map[string]int{
		"": 4, "-n7": 7, "-n0": 0, "-n-1": 4, "--max-processes=2": 2, "--min-processes=6": 6, "--memory-per-process=512m": 2, "-n7 --max-processes=2": 7,
	} {
		if got := mustLoad(t, nil, append(strings.Fields(args), "--", "service")...).count(limits); got.N != want {
			t.Errorf("%q: %+v, want %d", args, got, want)
		}
	}
}
