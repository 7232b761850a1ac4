package entrypoint

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
)

func TestNothingOfOursLeaks(t *testing.T) {
	environ := []string{"PATH=/bin", "HOME=/root"}
	ours := []string{
		"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=1", "WATCHDOG_PID=1", "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=x",
		fanout.EnvSlot + "=1", fanout.EnvIndex + "=0", fanout.EnvCount + "=1", fanout.EnvIncarnation + "=1", fanout.EnvWorkerPIDFile + "=/x",
		fanout.EnvLeader + "=1", fanout.EnvPID + "=1", fanout.EnvUptime + "=1", "BROOD_CODE=1", "BROOD_EXIT_REASON=x",
	}
	all := samples()
	for _, row := range bind(new(settings)) {
		if row.name != "env-file" {
			ours = append(ours, row.variable()+"="+variableText(row, all[row.name].environment))
		}
	}
	ours = append(ours, "BROOD_ENV_FILE="+write(t, "PATH=/file", "FILE=file", "BROOD_PROCESSES=9", "BROOD_SLOT=9", "NOTIFY_SOCKET=/file"))
	odd := []string{"BROOD_PORT=tcp://10.0.0.1:80", "NONSENSE", "EMPTY=", "brood_processes=7", "BROODY=1"}
	c := mustLoad(t, slices.Concat(environ, ours, odd), "--", "service")
	want := slices.Concat(environ, odd, []string{"FILE=file"})
	if !slices.Equal(c.WorkerEnviron, want) {
		t.Errorf("workers get\n%q, want\n%q", c.WorkerEnviron, want)
	}
	if value, _ := os.LookupEnv("FILE"); value != "" {
		t.Error("the file's variables are in our own environment")
	}
}

func TestWarnings(t *testing.T) {
	file := write(t, "BROOD_PROCESES=1", "BROOD_SLOT=1", "BROOD_ENV_FILE=x")
	for _, test := range []struct {
		name    string
		environ []string
		args    string
		want    []string // parts of each warning
	}{
		{"none", []string{"BROOD_PROCESSES=2", "BROODY=1", "BROOD=x", "BROOD_SLOT=1", "BROOD_PIDFILE=/x/y.pid"}, "", nil},
		{"typo", []string{"BROOD_PROCESES=2"}, "", []string{"BROOD_PROCESES is no setting of brood, did you mean BROOD_PROCESSES?"}},
		{"unlike anything", []string{"BROOD_COLOUR=2"}, "", []string{"BROOD_COLOUR is no setting of brood"}},
		{"odd name", []string{"BROOD_\nX=2"}, "", []string{`BROOD_?X is no setting`}},
		{
			"service links",
			[]string{"BROOD_PORT=tcp://1:2", "BROOD_SERVICE_HOST=1", "BROOD_SERVICE_PORT=2", "BROOD_PORT_2_TCP=x"},
			"",
			[]string{"BROOD_PORT is no setting of brood but that of a Kubernetes Service called brood: set enableServiceLinks: false (4 such variables)"},
		},
		{"file", nil, "--env-file " + file, []string{
			"BROOD_ENV_FILE in " + file + " has no effect", "BROOD_SLOT in " + file + " has no effect",
			"BROOD_PROCESES in " + file + " is no setting of brood, did you mean BROOD_PROCESSES?",
		}},
		{"stop parts", nil, "--stop-timeout 2 --finish x --finish-timeout 3", []string{"--stop-timeout 2s: drain delay 0s, finish hook 3s"}},
		{"finish timeout without a hook", nil, "--stop-timeout 2 --finish-timeout 3", nil},
		{"no time to stop", nil, "--stop-timeout 0", []string{"--stop-timeout 0s"}},
		{"rewritten stop signal", nil, "--signal TERM=QUIT", []string{"--signal SIGTERM=SIGQUIT: this signal no longer stops brood"}},
		{"still a stop signal", nil, "--signal TERM=stop", nil},
		{"shell syntax", []string{"BROOD_FINISH=a && b"}, "", []string{`BROOD_FINISH has "&&"`}},
		{"a shell", []string{"BROOD_FINISH=sh -c 'a && b'"}, "", nil},
		{"nothing to expand", nil, "--expand-args", []string{"--expand-args has nothing to expand"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := mustLoad(t, test.environ, append(strings.Fields(test.args), "--", "service")...)
			if len(c.Warnings) != len(test.want) {
				t.Fatalf("warnings %q, want %q", c.Warnings, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(c.Warnings[i], want) || strings.Contains(c.Warnings[i], "\n") {
					t.Errorf("warning %q, want %q", c.Warnings[i], want)
				}
			}
		})
	}
}

func TestStopTimeout(t *testing.T) {
	for _, test := range []struct {
		environ []string
		args    string
		want    time.Duration
		source  string
	}{
		{nil, "", 9 * time.Second, "default"},
		{[]string{"KUBERNETES_SERVICE_HOST=10.0.0.1"}, "", 28 * time.Second, "kubernetes"},
		{[]string{"KUBERNETES_SERVICE_HOST="}, "", 9 * time.Second, "default"},
		{[]string{"KUBERNETES_SERVICE_HOST=10.0.0.1"}, "--stop-timeout=auto", 28 * time.Second, "kubernetes"},
		{[]string{"KUBERNETES_SERVICE_HOST=10.0.0.1"}, "--stop-timeout=5", 5 * time.Second, "flag"},
		{[]string{"BROOD_STOP_TIMEOUT=7s"}, "", 7 * time.Second, "environment"},
	} {
		c := mustLoad(t, test.environ, append(strings.Fields(test.args), "--", "service")...)
		if got := c.StopTimeout.Value; got.Budget != test.want || c.stopTimeoutSource() != test.source {
			t.Errorf("%v %s: %v, want %s from %s", test.environ, test.args, got, test.want, test.source)
		}
	}
}

func TestInsideAnotherBrood(t *testing.T) {
	inside := []string{"BROOD_PIDFILE=/run/brood/brood.pid", "BROOD_WORKER_PIDFILE=/run/brood/brood.1.pid", "BROOD_SLOT=1"}
	if c := mustLoad(t, inside, "--", "service"); c.Pidfile.Source != SourceInherited || c.Pidfile.Value.String() != "/run/brood/brood.pid" {
		t.Errorf("pidfile = %v from %s", c.Pidfile.Value, c.Pidfile.Source)
	}
	c := mustLoad(t, inside, "--env-file", write(t, "BROOD_PIDFILE=/run/mine.pid"), "--", "service")
	if setting, explicit := c.explicitPIDFile(); setting != "/run/mine.pid" || !explicit {
		t.Errorf("pidfile = %q, %v", setting, explicit)
	}
	if c := mustLoad(t, inside, "--pidfile=/run/flag.pid", "--", "service"); c.Pidfile.Source != SourceFlag {
		t.Errorf("pidfile from %s", c.Pidfile.Source)
	}
}

func TestInsideAHookOfAnotherBrood(t *testing.T) {
	hook := []string{"BROOD_REASON=failed", "BROOD_EXIT_CODE=7", "BROOD_SIGNAL=", "BROOD_PID=12", "BROOD_PROCESSES=2"}
	c := mustLoad(t, hook, "--exit-code=1=0", "--", "service")
	if c.ExitCode.String() != "1=0" || c.Processes.Value.Count != 2 || len(c.WorkerEnviron) != 0 || len(c.Warnings) != 0 {
		t.Errorf("exit-code = %s, workers get %q, warnings %q", c.ExitCode.String(), c.WorkerEnviron, c.Warnings)
	}
}

func TestEnvFileNamedByVariable(t *testing.T) {
	file := write(t, "BROOD_PROCESSES=3", "A=file", "B=file", `C="two
lines"`, "D=1 # one")
	c := mustLoad(t, []string{"BROOD_ENV_FILE=" + file, "A=real", "B="}, "--", "service")
	if c.Processes.Source != SourceFile || c.Processes.Value.Count != 3 {
		t.Errorf("processes = %v from %s", c.Processes.Value, c.Processes.Source)
	}
	if want := []string{"A=real", "B=", "C=two\nlines", "D=1"}; !slices.Equal(c.WorkerEnviron, want) {
		t.Errorf("workers get %q, want %q", c.WorkerEnviron, want)
	}
	c = mustLoad(t, []string{"BROOD_ENV_FILE=/does/not/exist"}, "--env-file=", "--", "service")
	if c.Processes.Source != SourceDefault {
		t.Error("an empty flag does not take the variable back")
	}
}

func TestEnvFileErrors(t *testing.T) {
	large := write(t, "A="+strings.Repeat("x", longestFile))
	for _, test := range []struct{ file, want string }{
		{"/does/not/exist", `cannot use --env-file "/does/not/exist": no such file or directory, give a file that can be read`},
		{"/", `cannot use --env-file "/": is a directory, give a file that can be read`},
		{large, `cannot use --env-file ` + quote(large) + `: it is larger than 2 MiB, give a dotenv file`},
		{write(t, "A=1", "B='x", "y'", "C?=2"), `line 4: want KEY=VALUE lines with balanced quotes`},
		{write(t, "A=1", "B='x", "y"), `line 2: want KEY=VALUE lines with balanced quotes`},
	} {
		_, err := Load([]string{"--env-file", test.file, "--", "service"}, nil)
		if err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.file, err, test.want)
		}
	}
}
