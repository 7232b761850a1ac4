package life_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// root without capabilities is what a container with --cap-drop ALL has. What a
// setting needs of them is said before anything is started.
func TestWhatASettingNeedsOfCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root has capabilities to drop")
	}
	setpriv := harness.Need(t, "setpriv")
	for _, test := range []struct {
		name, caps string
		args       []string
		code       int
		want       string
	}{
		{"none", "-all", []string{"-n2"}, 0, ""},
		{"a user", "-all", []string{"-n1", "--user", "65534"}, 2, "brood has no CAP_SETUID"},
		{"a user, without groups", "-all,+setuid,+kill", []string{"-n1", "--user", "65534"}, 2, "brood has no CAP_SETGID"},
		{"a user who cannot be signalled", "-all,+setuid,+setgid", []string{"-n1", "--user", "65534"}, 2, "brood has no CAP_KILL"},
		{"a user with all it takes", "-all,+setuid,+setgid,+kill,+chown,+dac_override", []string{"-n1", "--user", "65534"}, 0, ""},
		{"a limit that is raised", "-all", []string{"-n1", "--rlimit", "rtprio=50:50"}, 2, "may not raise it"},
		{"a limit that is raised, with the right", "-all,+sys_resource", []string{"-n1", "--rlimit", "rtprio=50:50"}, 0, ""},
		{"a limit that is lowered, and a CPU", "-all", []string{"-n1", "--rlimit", "nofile=100:200", "--cpu-affinity", "0", "--no-new-privs"}, 0, ""},
	} {
		if strings.Contains(test.caps, "sys_resource") && !mayRaiseLimits(t) {
			continue // what nobody has here cannot be kept
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pidfile := filepath.Join(publicDir(t), "run", "brood.pid")
			args := append([]string{"--bounding-set", test.caps, "--inh-caps", "-all", harness.Binary(), "--metrics-addr", "none", "--pidfile", pidfile}, test.args...)
			b := harness.Mode{}.StartWith(t, harness.Options{Program: setpriv, Args: append(args, "--", "sleep", "300")})
			if test.code != 0 {
				b.WantCode(t, test.code)
				b.WaitLog(test.want)
				return
			}
			b.WaitRunning(1)
			b.Stop(t, 0)
			if n := b.Stderr.Count("level=WARN"); n > 0 {
				t.Errorf("%d warnings:\n%s", n, b.Stderr)
			}
		})
	}
}

func mayRaiseLimits(t *testing.T) bool {
	t.Helper()
	has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return has == 1
}

// What the command is called goes into brood's own lines, which are one each.
func TestNobodyForgesALineOfTheLog(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := filepath.Join(t.TempDir(), "x\ntime=2026-01-01T00:00:00.000Z level=ERROR msg=forged")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(dir, "\x1b[31mred\r\nlevel=ERROR msg=forged")
		write(t, program, "no program")
		b := m.Start(t, "-n1", "--log-level", "debug", "--restart", "never", "--", program)
		b.WantCode(t, 126)
		for _, line := range b.Stderr.All() {
			if !strings.HasPrefix(line, "time=2") && !strings.HasPrefix(line, "brood: ") || strings.ContainsAny(line, "\x1b\r") || strings.HasPrefix(line, "time=2026-01-01") {
				t.Errorf("a line of brood's log is %q", line)
			}
		}
	})
}
