package life_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestLinesBearTheSlotTheyComeFrom(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n2", "--output", "prefix", "--restart", "never", "--", "sh", "-c", "echo out $BROOD_SLOT; echo err $BROOD_SLOT >&2; printf 'no newline'")
		b.WantCode(t, 0)
		for _, want := range []string{"[1] out 1", "[2] out 2", "[1] no newline", "[2] no newline"} {
			if b.Stdout.Count(want) != 1 {
				t.Errorf("no line %q on stdout:\n%s", want, b.Stdout)
			}
		}
		if b.Stderr.Count("[1] err 1") != 1 || b.Stderr.Count("[2] err 2") != 1 {
			t.Errorf("stderr has:\n%s", b.Stderr)
		}
	})
}

func TestLinesAsJSON(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--output", "json", "--restart", "never", "--", "sh", "-c", `echo 'a "quoted" line'`)
		b.WantCode(t, 0)
		var line struct {
			Slot         int
			Stream, Line string
		}
		if err := json.Unmarshal([]byte(b.Stdout.String()), &line); err != nil {
			t.Fatalf("%v: %s", err, b.Stdout)
		}
		if line.Slot != 1 || line.Stream != "stdout" || line.Line != `a "quoted" line` {
			t.Errorf("got %+v", line)
		}
	})
}

// What a worker writes just before its end is not lost, however much it is.
func TestNothingOfAnEndedWorkerIsLost(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n2", "--output", "prefix", "--restart", "never", "--", "sh", "-c", "seq 1 3000")
		b.WantCode(t, 0)
		if n := len(b.Stdout.All()); n != 6000 {
			t.Errorf("%d lines, want 6000", n)
		}
	})
}

// Nobody reads: brood leaves all the same, and says what is missing.
func TestOutputThatNobodyReadsIsCountedAtTheEnd(t *testing.T) {
	m := harness.Mode{}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := m.StartWith(t, harness.Options{Args: []string{"-n1", "--output", "prefix", "--restart", "never", "--", "seq", "1", "100000"}, Stdout: w})
	_ = w.Close()
	b.WantCode(t, 0)
	if n := b.Stderr.Count("of the workers' output were dropped"); n != 1 {
		t.Errorf("said %d times:\n%s", n, b.Stderr)
	}
}

func TestAHomeThatWasGivenIsTheWorkersWhoeverItRunsAs(t *testing.T) {
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can become somebody else")
	}
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--user", "nobody", "--env", "HOME=/elsewhere", "--restart", "never", "--", "sh", "-c", "echo $HOME")
		b.WantCode(t, 0)
		if b.Stdout.String() != "/elsewhere" {
			t.Errorf("HOME is %s", b.Stdout)
		}
	})
}

func TestWorkersGetTheirRightsAndBroodKeepsItsOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can become somebody else")
	}
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--user", "65534:65534", "--no-new-privs", "--rlimit", "nofile=123:456", "--cpu-affinity", "0", "--restart", "never", "--",
			"sh", "-c", "grep -E '^(Uid|Gid|Groups|CapEff|NoNewPrivs|Cpus_allowed_list):' /proc/self/status | tr '\\t' ' '; ulimit -Sn; ulimit -Hn")
		b.WantCode(t, 0)
		for _, want := range []string{
			"Uid: 65534 65534 65534 65534", "Gid: 65534 65534 65534 65534", "Groups: 65534", "CapEff: 0000000000000000",
			"NoNewPrivs: 1", "Cpus_allowed_list: 0", "123", "456",
		} {
			found := false
			for _, line := range b.Stdout.All() {
				found = found || strings.TrimSpace(line) == want
			}
			if !found {
				t.Errorf("no line %q in:\n%s", want, b.Stdout)
			}
		}
	})
}

func TestRightsThatCannotBeHadAreAClearError(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n1", "--user", "65534", "--", filepath.Join(t.TempDir(), "not-for-him"))
		b.WantCode(t, 127)
	})
}

// Nothing is started, the prepare hook neither: the code is that of a setting
// which cannot be used.
func TestRightsThatBroodDoesNotHaveAreRefusedBeforeAnythingStarts(t *testing.T) {
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can become somebody without rights")
	}
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for _, test := range []struct{ setting, value, want string }{
			{"--user", "0", "only root can become another: start brood as root, or as that user"},
			{"--user", "65534:5", "runs as user 65534 already"},
			{"--rlimit", "nice=40", "may not raise it"},
			{"--cpu-affinity", "60000", "not among those that brood may use"},
		} {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			b := m.Start(t, "-n1", "--user", "65534", "--restart", "never", "--", harness.Binary(),
				"--metrics-addr", "none", "--pidfile", dir+"/run/x.pid", test.setting, test.value, "--prepare", "touch "+dir+"/prepared", "--", "true")
			b.WantCode(t, 2)
			b.WaitLog("cannot use "+test.setting, test.want)
			if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
				t.Errorf("%s %s: there is %v, %v", test.setting, test.value, names, err)
			}
		}
	})
}

// publicDir is one that every user can reach, unlike t.TempDir.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// owner describes who may do what with a file.
func owner(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid, " ", info.Mode())
}

// The worker's user has the directory in which processes register, and nothing
// that brood acts on by itself.
func TestWorkersOfAnotherUserRegisterHelpers(t *testing.T) {
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can become somebody else")
	}
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := publicDir(t)
		b := m.StartWith(t, harness.Options{
			PIDFile: dir + "/run/brood.pid", LeavesFiles: true, // those of the helper
			Env: []string{"MINE=" + dir + "/run", "ROOTS=" + dir + "/roots"},
			Args: []string{
				"-n1", "--ready", "10ms", "--user", "65534:65534", "--watchdog", "1h", "--listen", "unix://" + dir + "/app.sock",
				"--prepare", "sh -c 'sleep 300 & echo $! >$ROOTS'", "--", "sh", "-c", `
					sh -c 'trap "echo stopped >$MINE/told; exit 0" TERM; echo $$ >$MINE/brood.0.pid; while :; do sleep 0.05; done' &
					cat $ROOTS >$MINE/brood.7.pid
					until test -s $MINE/brood.0.pid; do sleep 0.05; done
					touch $MINE/up; exec sleep 300`,
			},
		})
		harness.Until(t, "the helper has registered", func() bool { return owner(dir+"/run/up") == "65534 -rw-r--r--" })
		for path, want := range map[string]string{
			"run": "65534 drwxr-xr-x", "run-master": "0 drwxr-xr-x", "run/brood.1.pid": "0 -rw-r--r--",
			"run-master/brood.master.pid": "0 -rw-r--r--", "run-master/brood.sock": "0 Srw-------",
			"run-master/brood.notify.1.sock": "65534 Srw-------", "app.sock": "65534 Srwxr-xr-x",
		} {
			harness.Until(t, path+" is "+want, func() bool { return owner(filepath.Join(dir, path)) == want })
		}
		harness.Until(t, "all is up, the helper too", func() bool {
			said, code := ask(t, b, "status")
			return code == 0 && strings.Contains(said, "registered")
		})
		b.Stop(t, 0)
		if harness.Content(dir+"/run/told") == "" {
			t.Errorf("the helper was not told to stop:\n%s", b.Stderr)
		}
		b.WaitLog("PID file refused", "brood.7.pid", "uid 65534 owns it", "belongs to uid 0")
		if left, err := os.ReadDir(dir + "/run-master"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// A directory that is there already is not given away.
func TestADirectoryThatIsRootsStaysSo(t *testing.T) {
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can become somebody else")
	}
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := publicDir(t)
		b := m.StartWith(t, harness.Options{PIDFile: dir + "/brood.pid", Args: []string{"-n1", "--ready", "10ms", "--user", "65534", "--", "sleep", "300"}})
		b.WaitLog("workers cannot register processes", "uid=65534")
		b.WaitRunning(1)
		if got := owner(dir); got != "0 drwxr-xr-x" {
			t.Errorf("it is %s", got)
		}
		harness.Until(t, "it answers", func() bool { _, code := ask(t, b, "status"); return code == 0 })
		b.Stop(t, 0)
	})
}
