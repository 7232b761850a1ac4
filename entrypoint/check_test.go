package entrypoint

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
)

// somewhere is a system of which everything is known.
func somewhere() system {
	return system{
		limits: func() (cgroup.Limits, error) {
			return cgroup.Limits{Affinity: 64, Quota: 2.5, QuotaPath: "/sys/fs/cgroup/cpu.max"}, nil
		},
		lookUp: func(command string, environ []string) (string, int, error) {
			switch command {
			case "missing":
				return "", fanout.CodeNotFound, errors.New(`cannot find "missing" in PATH`)
			case "text":
				return "", fanout.CodeNotExecutable, errors.New(`cannot execute "text": permission denied`)
			}
			return "/usr/bin/" + command, 0, nil
		},
		oomGroup: func() bool { return false },
		pidDirs:  func() []string { return []string{"/run/brood", "/tmp/brood-0"} },
	}
}

func TestCheck(t *testing.T) {
	t.Setenv("BROOD_STOP_SIGNAL", "INT")
	t.Setenv("BROOD_PIDFILE", "/run/outer.pid")
	inside := []string{"BROOD_STOP_SIGNAL=INT", "BROOD_PIDFILE=/run/outer.pid", "BROOD_WORKER_PIDFILE=/run/outer.1.pid", "BROOD_PROCESES=4"}
	unknown := somewhere()
	unknown.oomGroup = func() bool { return true }
	unknown.limits = func() (cgroup.Limits, error) {
		return cgroup.Limits{Affinity: 32}, errors.New("cannot read \"/sys/fs/cgroup/cpu.max\":\npermission denied")
	}
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		on      system
		code    int
	}{
		{"default", []string{"--", "service", "--port", "80"}, nil, somewhere(), 0},
		{"chosen", []string{
			"-n1", "--env=TOKEN=hunter2", "--env=B=2", "--finish=./flush now", "--pidfile=/run/web/web.pid", "--stop-timeout=30", "--drain-delay=5",
			"--fail-fast", "--", "service",
		}, inside, somewhere(), 0},
		{"nested", []string{"--", "service"}, inside, unknown, 0},
		{"not-found", []string{"--", "missing"}, nil, somewhere(), 127},
		{"not-executable", []string{"--", "text"}, nil, somewhere(), 126},
		{"no-command", []string{"-n", "0"}, nil, somewhere(), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.environ == nil {
				t.Setenv("BROOD_STOP_SIGNAL", "")
				t.Setenv("BROOD_PIDFILE", "")
			}
			var out, problems bytes.Buffer
			code := Program{}.runVerb(append([]string{"check"}, test.args...), test.environ, &out, &problems, test.on)
			if code != test.code || problems.Len() > 0 {
				t.Errorf("code %d, want %d; %s", code, test.code, problems.String())
			}
			if strings.Contains(out.String(), "hunter2") {
				t.Error("check tells a secret")
			}
			golden(t, "check-"+test.name+".txt", out.String())
		})
	}
}

func TestLookUpCommand(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, file := range []struct {
		path string
		mode os.FileMode
	}{
		{filepath.Join(first, "data"), 0o644}, {filepath.Join(first, "both"), 0o644}, {filepath.Join(second, "both"), 0o755}, {filepath.Join(second, "tool"), 0o755},
	} {
		if err := os.WriteFile(file.path, nil, file.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(first, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(second)
	path := "PATH=" + first + ":" + second
	for _, test := range []struct {
		command, environ, want string
		code                   int
	}{
		{"tool", path, filepath.Join(second, "tool"), 0},
		{"both", path, filepath.Join(second, "both"), 0},
		{"data", path, "", 126},
		{"dir", path, "", 126},
		{"missing", path, "", 127},
		{"", path, "", 127},
		{"tool", "PATH=" + first + ":", "./tool", 0},
		{"tool", "PATH=" + first, "", 127},
		{"sh", "HOME=/", "/usr/bin/sh", 0},
		{"sh", "PATH=", "/usr/bin/sh", 0},
		{"./tool", path, "./tool", 0},
		{"./missing", path, "", 127},
		{"./tool/x", path, "", 127},
		{first + "/data", path, "", 126},
		{first + "/", path, "", 126},
	} {
		got, code, err := lookUpCommand(test.command, []string{"PATH=/nowhere", test.environ})
		if test.environ == "HOME=/" {
			got, code, err = lookUpCommand(test.command, []string{test.environ})
		}
		if got != test.want || code != test.code || (err == nil) != (code == 0) {
			t.Errorf("%q with %s: %q, %d, %v; want %q, %d", test.command, test.environ, got, code, err, test.want, test.code)
		}
	}
}
