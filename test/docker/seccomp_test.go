package docker_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// profile is the one that users are given.
const profile = "../../deploy/seccomp/brood.json"

// withoutServices is the profile without the calls that only services make.
func withoutServices(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	groups := whole["syscalls"].([]any)
	fewer := slices.DeleteFunc(slices.Clone(groups), func(g any) bool {
		comment, _ := g.(map[string]any)["comment"].(string)
		return strings.HasPrefix(comment, "services:")
	})
	if len(fewer) != len(groups)-1 {
		t.Fatalf("%s has %d groups for services, want 1", profile, len(groups)-len(fewer))
	}
	whole["syscalls"] = fewer
	if text, err = json.Marshal(whole); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "brood.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	noRights   = "--user 1234:5678 --read-only --cap-drop ALL --security-opt no-new-privileges "
	forAUser   = "--cap-drop ALL --cap-add SETUID --cap-add SETGID --cap-add KILL --cap-add CHOWN --cap-add DAC_OVERRIDE --tmpfs /run "
	allOfThese = "-n2 --metrics-addr 127.0.0.1:9180 --ready 100ms --stop-timeout 20s --finish '/guest say all have ended' --on-worker-exit '/guest say one has ended' "
	ofRoot     = "--user 65534:65534 --no-new-privs --rlimit nofile=1000:1000 --cpu-affinity 0 --listen tcp://127.0.0.1:8080 --listen unix:///run/app.sock " +
		"--watchdog 1h --max-rss 1GiB --group "
)

// A whole life with only the calls of the profile: what is not in it is refused
// by EPERM, which would be a warning or an error in the log at least.
func TestBroodLivesUnderItsSeccompProfile(t *testing.T) {
	for _, test := range []struct {
		name, flags, words string
		profile            func(*testing.T) string
	}{
		{"with no rights", noRights, allOfThese + "-- /guest orphans 2", nil},
		{"with the calls of brood alone", noRights, allOfThese + "-- /guest orphans 2", withoutServices},
		{"with the settings that need rights", forAUser, allOfThese + ofRoot + "-- /guest orphans 2", withoutServices},
		{"with its lines in front", noRights, allOfThese + "--output prefix --follow-limits off -- /guest orphans 2", withoutServices},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := profile
			if test.profile != nil {
				path = test.profile(t)
			}
			c := run(t, test.flags+"--security-opt seccomp="+path, test.words)
			c.await(2, "slot=", " ready")
			c.await(4, "orphan of")
			verb := func(words ...string) {
				t.Helper()
				until(t, strings.Join(words, " ")+" ends with 0", func() bool {
					_, err := tryDocker(append([]string{"exec", c.name, "/brood"}, words...)...)
					return err == nil
				})
			}
			verb("status")
			verb("health", "--live")
			if page := c.exec("/guest", "get", "http://127.0.0.1:9180/metrics"); !strings.Contains(page, `brood_worker_up{worker="2"} 1`) {
				t.Errorf("the page is:\n%s", page)
			}
			c.exec("/guest", "get", "http://127.0.0.1:9180/readyz")
			c.exec("/guest", "get", "http://127.0.0.1:9180/")
			verb("reload")
			c.await(8, "orphan of")
			verb("scale", "3")
			c.await(5, "slot=", " ready")
			verb("status")
			c.wantsNoZombies()
			c.stops(0, "--time", "30")
			c.await(5, "one has ended")
			c.wants(1, "all have ended")
			c.wants(0, "level=WARN")
			c.wants(0, "level=ERROR")
			c.wants(0, "not permitted")
		})
	}
}

// A shell in the container, as many services are started by.
func TestAShellLivesUnderTheSeccompProfile(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/bin/busybox"); err != nil {
		harness.Missing(t, "no /bin/busybox: %v", err)
	}
	c := run(t, noRights+"--volume /bin/busybox:/bin/sh:ro --security-opt seccomp="+profile,
		`-n1 --ready 100ms -- /bin/sh -c 'trap "echo bye; exit 0" TERM; (sleep 0.1 | cat; echo "piped $?") & echo up; while :; do sleep 0.1; done'`)
	c.await(1, "up")
	c.await(1, "piped 0")
	c.stops(0)
	c.wants(1, "bye")
	c.wants(0, "level=WARN")
}

// The filter filters: else the tests above prove nothing.
func TestWhatTheSeccompProfileDoesNotListIsRefused(t *testing.T) {
	t.Parallel()
	c := run(t, "--security-opt seccomp="+profile, "-n1 -- /guest forbid")
	c.await(1, " ready")
	for _, want := range []string{"personality: EPERM", "netlink: EPERM", "clone3: ENOSYS"} {
		c.wants(1, want)
	}
	c.stops(0)
}
