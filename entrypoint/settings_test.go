package entrypoint

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sample has three values for each setting, as different as the setting
// allows, and some that are refused.
type sample struct {
	file, environment, flag string
	bad                     []string
}

func samples() map[string]sample {
	hook := sample{"echo file", "echo environment", "echo 'a flag'", []string{"echo 'a", `"`, "''"}}
	toggle := sample{"on", "off", "on", []string{"maybe", "2", "-"}}
	times := []string{"-1", "-1s", "soon", "1 day", "1e9h", "400d", "9999999999999999999999", "--5", "0x1p3s"}
	return map[string]sample{
		"processes":          {"1", "2", "3", []string{"many", "1.5", "+3", "100001", "99999999999999999999", "0x10", "-1x", "3 4"}},
		"min-processes":      {"1", "2", "3", []string{"0", "-1", "auto", "none", "100001"}},
		"max-processes":      {"101", "102", "none", []string{"0", "-1", "auto", "x"}},
		"memory-per-process": {"100", "200m", "1.5GiB", []string{"0", "-5m", "m", "1x", "1kk", "1e9", "99999999999t", ".", "1.2.3", "0.5b"}},
		"env":                {"A=file", "A=environment", "A=flag", []string{"A", "=x", "A B=1", "A={nonsense}", "BROOD_SLOT=1"}},
		"expand-args":        toggle,
		"env-file":           {"", "", "", []string{"/does/not/exist", "/"}},

		"follow-limits":   {"off", "auto", "off", []string{"yes", "maybe"}},
		"ready":           {"2s", "notify", "exec:'pg_isready -q'", []string{"tcp:", "ftp://x", "exec:", "exec:'x", "soon", "-1"}},
		"ready-timeout":   {"10s", "20s", "30", append(times, "0", "none")},
		"live":            {"exec:a", "exec:b", "none", []string{"notify", "5s", "tcp:", "exec:"}},
		"watchdog":        {"10s", "20s", "none", times},
		"max-unavailable": {"1", "2", "3", []string{"-1", "x", "50%"}},
		"max-surge":       {"1", "2", "3", []string{"-1", "x"}},
		"max-age":         {"1h", "2h", "none", times},
		"max-rss":         {"100m", "200m", "none", []string{"0", "x"}},

		"restart":         {"always", "never", "on-failure", []string{"sometimes", "alway", "1"}},
		"restart-backoff": {"1s..2s", "2s..3s", "5", []string{"2s..1s", "1s-2s", "..", "1s..", "0..0", "a..b"}},
		"max-restarts":    {"1/1s", "2/2s", "3/3s", []string{"10", "10/", "/5m", "-1/5m", "10/0s", "x/5m", "10/5m/2"}},
		"fail-fast":       toggle,
		"leftovers":       {"keep", "kill", "keep", []string{"bury"}},

		"stop-timeout":  {"10s", "20s", "30", append(times, "none")},
		"stop-signal":   {"INT", "QUIT", "SIGHUP", []string{"KILL", "9", "STOP", "URG", "33", "NONSENSE", "0", "65", "-1"}},
		"drain-delay":   {"1s", "2s", "0.5", times},
		"second-signal": {"ignore", "hasten", "ignore", []string{"kill"}},
		"exit-code":     {"1=0", "2=0", "3=0", []string{"1", "1=", "=1", "256=0", "0=256", "-1=0", "a=b", "1=2=3"}},

		"signal": {"HUP=ignore", "HUP=stop", "HUP=USR1", []string{
			"HUP", "HUP=", "=HUP", "HUP=dance", "NOPE=INT", "USR1=KILL", "USR1=STOP", "USR1=URG",
			"KILL=ignore", "STOP=stop", "CHLD=forward", "PIPE=forward", "URG=forward", "PROF=forward", "SEGV=forward", "ABRT=stop", "33=forward",
		}},
		"group": toggle,

		"prepare":         hook,
		"prepare-timeout": {"1s", "2s", "none", times},
		"finish":          hook,
		"finish-timeout":  {"1s", "1500ms", "1", times},
		"on-worker-exit":  hook,

		"listen":       {"tcp://:1", "web=tcp://:2", "unix:///run/x.sock", []string{"tcp://", "8080", "udp://:1", "x y=tcp://:1"}},
		"user":         {"1", "2:3", "root", []string{"nobody-at-all", "1:nothing-at-all"}},
		"no-new-privs": toggle,
		"rlimit":       {"nofile=10", "core=unlimited", "nproc=1:2", []string{"nofile", "nofile=", "files=1", "nofile=2:1"}},
		"cpu-affinity": {"0", "auto", "0", []string{"x", "0-", "1-0", "-1", "99999"}},
		"output":       {"prefix", "json", "inherit", []string{"xml"}},

		"pidfile": {"/run/file/a.pid", "/run/environment/a.pid", "/run/flag/a.pid", []string{"/run/", "/run/..", "."}},

		"metrics-addr":          {":1", "127.0.0.1:2", "[::1]:0", []string{"9180", "x", ":x", ":65536", ":-1", "a:b:c", "http://x:1", "ho st :1 "}},
		"web-config-file":       {"/etc/file.yml", "/etc/environment.yml", "none", nil},
		"health-addr":           {":3", "127.0.0.1:4", "[::1]:5", []string{"9181", "x", ":x", "http://x:1"}},
		"metrics-detail":        {"full", "short", "auto", []string{"long"}},
		"worker-metrics":        {"http://127.0.0.1:{9100+index}/metrics", "unix:///run/{slot}.sock:/metrics", "none", []string{"9100", "https://x:1/", "tcp://x:1", "unix:///x", "http://:x/", "http://h:1/{pid}"}},
		"multiproc-dir-cleanup": toggle,
		"ready-min":             {"1", "2", "3", []string{"0", "-1", "all", "50%"}},
		"termination-log":       {"/run/file", "/run/environment", "none", nil},
		"final-metrics":         {"/run/file", "/run/environment", "none", nil},
		"control":               {"/run/file.sock", "/run/environment.sock", "none", nil},

		"daemon":   {"start", "stop", "restart", []string{"status", "x"}},
		"start":    toggle,
		"stop":     toggle,
		"nodaemon": toggle,
		"log-file": {"/run/file.log", "/run/environment.log", "none", nil},

		"log-format": {"json", "text", "json", []string{"xml"}},
		"log-level":  {"debug", "warn", "error", []string{"loud", "warning"}},
	}
}

func TestTableIsComplete(t *testing.T) {
	rows := bind(new(settings))
	names := make(map[string]bool)
	all := samples()
	for _, row := range rows {
		if names[row.name] {
			t.Errorf("%s is there twice", row.name)
		}
		names[row.name] = true
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(row.name) {
			t.Errorf("%s: odd name", row.name)
		}
		if row.help == "" || strings.HasSuffix(row.help, ".") || row.group == "" || row.standard() == "" {
			t.Errorf("%s: help, group or default is missing or odd", row.name)
		}
		if (row.value == "") != row.field.is(kindToggle) {
			t.Errorf("%s: a switch has no value in help, all else has one", row.name)
		}
		if _, ok := all[row.name]; !ok {
			t.Errorf("%s has no samples", row.name)
		}
		if row.field.source() != SourceDefault {
			t.Errorf("%s: default has source %s", row.name, row.field.source())
		}
		for _, choice := range row.choices {
			if err := row.field.take(choice, SourceFlag); err != nil {
				t.Errorf("%s refuses its choice %s: %v", row.name, choice, err)
			}
		}
		// Kubernetes makes these up for a Service called brood.
		if isServiceLink(row.variable()) || strings.Contains(row.variable(), "_TCP") {
			t.Errorf("%s can collide with a service link", row.variable())
		}
		if isIdentity(row.variable()) {
			t.Errorf("%s means something else to a worker", row.variable())
		}
	}
	if len(all) != len(rows) {
		t.Errorf("%d rows, samples for %d", len(rows), len(all))
	}
	groups := make([]string, 0, len(rows))
	for _, row := range rows {
		groups = append(groups, row.group)
	}
	if got := slices.Compact(groups); len(got) != 11 {
		t.Errorf("a group is torn apart: %v", got)
	}
}

func TestEveryFieldHasARow(t *testing.T) {
	s := new(settings)
	rows := bind(s)
	structure := reflect.ValueOf(s).Elem()
	for i := range structure.NumField() {
		f := structure.Type().Field(i)
		of := func(row bound) bool { return row.field == structure.Field(i).Addr().Interface() }
		if n := len(slices.DeleteFunc(slices.Clone(rows), func(row bound) bool { return !of(row) })); n != 1 {
			t.Errorf("%s has %d rows", f.Name, n)
		}
	}
}
