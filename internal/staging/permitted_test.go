package staging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhoIsNotMappedCannotBeBecome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("without the capabilities that is what is told")
	}
	for _, test := range []struct{ uids, gids, setgroups, want string }{
		{"0 0 4294967295\n", "0 0 4294967295\n", "allow\n", ""},
		{"0 1000 1\n1 100000 65536\n", "0 0 65536\n", "allow\n", ""},
		{"0 1000 1\n", "0 0 65536\n", "allow\n", "user 33 is not mapped"},
		{"0 0 65536\n", "0 0 40\n", "allow\n", "group 40 is not mapped"},
		{"0 0 65536\n", "0 0 65536\n", "deny\n", "forbids to set groups"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"uid_map": test.uids, "gid_map": test.gids, "setgroups": test.setgroups} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := User{UID: 33, GID: 34, Groups: []uint32{34, 40}}.permitted(dir)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q, %q: %v, want %q", test.uids, test.gids, err, test.want)
		}
	}
}

func TestToAskForALimitLeavesItAsItIs(t *testing.T) {
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	l, err := ParseRlimit("core=unlimited")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Permitted() // which depends on who runs the test
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &after); err != nil || after != before {
		t.Errorf("%+v, before %+v, %v", after, before, err)
	}
	if text, err := os.ReadFile("/proc/sys/fs/nr_open"); err == nil {
		tooMany, err := ParseRlimit("nofile=1:" + strings.TrimSpace(string(text)) + "0")
		if err != nil {
			t.Fatal(err)
		}
		if err := tooMany.Permitted(); err == nil || !strings.Contains(err.Error(), "may not raise it") {
			t.Errorf("more open files than the kernel allows: %v", err)
		}
	}
}
