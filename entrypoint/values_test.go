package entrypoint

import (
	"log/slog"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
)

// accepted checks what a parser makes of texts that it accepts; TestBadValues
// has those that it refuses.
func accepted[T any](t *testing.T, name string, parse func(string) (T, error), want map[string]T) {
	t.Helper()
	for text, value := range want {
		got, err := parse(text)
		if err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("%s %q = %+v, %v; want %+v", name, text, got, err, value)
		}
	}
}

func TestValues(t *testing.T) {
	auto := Processes{Auto: true}
	accepted(t, "processes", parseProcesses, map[string]Processes{
		"auto": auto, "-1": auto, "-99999999999999999999": auto, " 4\n": {Count: 4}, "0": {}, "007": {Count: 7}, "100000": {Count: 100000},
	})
	accepted(t, "max-processes", parseMaxProcesses, map[string]int{"none": 0, "1": 1})
	accepted(t, "memory", parseMemory, map[string]uint64{
		"none": 0, "1": 1, "100b": 100, "1k": 1 << 10, "1K": 1 << 10, "1Ki": 1 << 10, "1KiB": 1 << 10, "1kB": 1000, "2m": 2 << 20, "1.5Gi": 3 << 29,
		" 300 MiB ": 300 << 20, "1t": 1 << 40, "5GB": 5_000_000_000, "1073741824": 1 << 30,
	})
	accepted(t, "duration", parseDuration, map[string]time.Duration{
		"0": 0, "10": 10 * time.Second, "0.5": 500 * time.Millisecond, ".5": 500 * time.Millisecond, "10s": 10 * time.Second, "1m30s": 90 * time.Second,
		" 2h ": 2 * time.Hour, "1.5h": 90 * time.Minute, "100ms": 100 * time.Millisecond, "+3": 3 * time.Second, "8760h": longest, "-0": 0,
	})
	accepted(t, "limit", parseLimit, map[string]time.Duration{"none": 0, "0": 0, "3": 3 * time.Second})
	accepted(t, "stop-timeout", parseStopTimeout, map[string]StopTimeout{"auto": {Auto: true}, "0": {}, "30": {Budget: 30 * time.Second}})
	accepted(t, "backoff", parseBackoff, map[string]fanout.Backoff{
		"100ms..30s": {Min: 100 * time.Millisecond, Max: 30 * time.Second}, "0..1": {Max: time.Second}, "2s": {Min: 2 * time.Second, Max: 2 * time.Second},
		" 1 .. 2 ": {Min: time.Second, Max: 2 * time.Second}, "0.1..0.2": {Min: 100 * time.Millisecond, Max: 200 * time.Millisecond},
	})
	accepted(t, "max-restarts", parseCrashBudget, map[string]fanout.CrashBudget{
		"10/5m": {Failures: 10, Window: 5 * time.Minute}, "0/1": {Window: time.Second}, " 3 / 1h ": {Failures: 3, Window: time.Hour},
	})
	accepted(t, "switch", parseBool, map[string]bool{"on": true, "TRUE": true, "1": true, "yes": true, "off": false, "False": false, "0": false, "no": false})
	accepted(t, "level", parseLevel, map[string]slog.Level{"debug": slog.LevelDebug, "Info": slog.LevelInfo, "WARN": slog.LevelWarn, "error": slog.LevelError})
	accepted(t, "command", parseCommand, map[string][]string{
		"": nil, "  ": nil, "a b": {"a", "b"}, "sh -c 'a; b'": {"sh", "-c", "a; b"}, `a "b c" d\ e ''`: {"a", "b c", "d e", ""},
	})
	accepted(t, "stop-signal", parseStopSignal, map[string]syscall.Signal{
		"arrived": 0, "Arrived": 0, "TERM": syscall.SIGTERM, "sigquit": syscall.SIGQUIT, "2": syscall.SIGINT, "ABRT": syscall.SIGABRT, "RTMIN+3": 37,
	})
}

func TestRules(t *testing.T) {
	forward := func(sig syscall.Signal) fanout.Action { return fanout.Action{Kind: fanout.ActionForward, Signal: sig} }
	for _, test := range []struct {
		text, shown string
		want        SignalRule
	}{
		{"HUP=forward", "SIGHUP=forward", SignalRule{syscall.SIGHUP, forward(syscall.SIGHUP)}},
		{"SIGUSR1=INT", "SIGUSR1=SIGINT", SignalRule{syscall.SIGUSR1, forward(syscall.SIGINT)}},
		{"10=2", "SIGUSR1=SIGINT", SignalRule{syscall.SIGUSR1, forward(syscall.SIGINT)}},
		{" RTMIN+3 = stop ", "SIGRTMIN+3=stop", SignalRule{37, fanout.Action{Kind: fanout.ActionStop}}},
		{"TERM=ignore", "SIGTERM=ignore", SignalRule{syscall.SIGTERM, fanout.Action{Kind: fanout.ActionIgnore}}},
		{"TTIN=forward", "SIGTTIN=forward", SignalRule{syscall.SIGTTIN, forward(syscall.SIGTTIN)}},
		{"USR2=ABRT", "SIGUSR2=SIGABRT", SignalRule{syscall.SIGUSR2, forward(syscall.SIGABRT)}},
	} {
		rules, err := addSignal(nil, test.text)
		if err != nil || len(rules) != 1 || rules[0] != test.want || rules[0].String() != test.shown {
			t.Errorf("%q = %v, %v; want %v", test.text, rules, err, test.shown)
			continue
		}
		if again, err := addSignal(nil, rules[0].String()); err != nil || again[0] != rules[0] {
			t.Errorf("%q does not stand for itself: %v", rules[0], err)
		}
		if again, err := addSignal(rules, test.text); err != nil || len(again) != 1 {
			t.Errorf("%q twice: %v, %v", test.text, again, err)
		}
		from, _, _ := strings.Cut(test.text, "=")
		if _, err := addSignal(rules, from+"=WINCH"); err == nil {
			t.Errorf("%q with another action is accepted", test.text)
		}
	}
}

func TestSignalTable(t *testing.T) {
	rules := []SignalRule{{syscall.SIGHUP, fanout.Action{Kind: fanout.ActionStop}}}
	got := signalTable(rules, fanout.ActionReload)
	for sig := syscall.Signal(0); sig <= 66; sig++ {
		want := fanout.Action{Kind: fanout.ActionForward, Signal: sig}
		switch sig {
		case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
			want = fanout.Action{Kind: fanout.ActionStop}
		case syscall.SIGTTIN:
			want = fanout.Action{Kind: fanout.ActionScaleUp}
		case syscall.SIGTTOU:
			want = fanout.Action{Kind: fanout.ActionScaleDown}
		case 0, 65, 66, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG, syscall.SIGPROF, 32, 33, 34,
			syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS:
			want = fanout.Action{}
		}
		action, ok := got[sig]
		if action != want || ok != (want != fanout.Action{}) {
			t.Errorf("signal %d: %v, want %v", sig, action, want)
		}
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"processes", "min-processes", "max-processes", "stop-timeout", "signal", "env"}
	for word, want := range map[string]string{
		"proceses": "processes", "process": "processes", "Processes": "processes", "prcoesses": "processes", "stop-timout": "stop-timeout",
		"min-process": "min-processes", "singal": "signal", "evn": "env", "listen": "", "": "", "x": "", "metrics-addr": "",
	} {
		if got := nearest(word, candidates); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}
