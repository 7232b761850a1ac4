package staging_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/staging"
)

func TestWhyAStartHasFailedComesBack(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("echo no interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	closed := 1000
	for _, test := range []struct {
		name string
		path string
		a    staging.Attributes
		want error
		text string
	}{
		{"not there", "/nowhere/at/all", staging.Attributes{}, unix.ENOENT, `cannot start "/nowhere/at/all": no such file or directory`},
		{"a directory", "/", staging.Attributes{}, unix.EACCES, "permission denied"},
		{"no format", script, staging.Attributes{}, unix.ENOEXEC, "exec format error"},
		{"a NUL", "/bin/true\x00", staging.Attributes{}, unix.EINVAL, "invalid argument"},
		{"no such CPU", "/bin/true", staging.Attributes{CPUs: []int{5000}}, unix.EINVAL, "cannot bind it to its CPUs: invalid argument"},
		{"a closed file", "/bin/true", staging.Attributes{Files: []int{closed}}, unix.EBADF, "cannot pass descriptor 1000: bad file descriptor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := start(newStage(t), staging.Command{Path: test.path, Args: []string{"x"}, Attributes: test.a})
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v with %q", err, test.want, test.text)
			}
			if _, typed := errors.AsType[*staging.Error](err); !typed {
				t.Errorf("%T is no staging.Error", err)
			}
		})
	}
}

func TestArgumentsThatAreTooLongAreTheKernelsError(t *testing.T) {
	_, err := start(newStage(t), staging.Command{Path: "/bin/true", Args: []string{"true", strings.Repeat("x", 4<<20)}})
	if !errors.Is(err, unix.E2BIG) {
		t.Errorf("error %v, want E2BIG", err)
	}
}

// What only root may do fails with a clear word for others.
func TestWithoutPrivilegeTheErrorSaysWhatIsForbidden(t *testing.T) {
	for name, test := range map[string]struct {
		a    staging.Attributes
		text string
	}{
		"user":  {staging.Attributes{User: &staging.User{UID: 0, GID: 0, Groups: []uint32{0, 5}}}, "cannot take the groups [0 5] of user 0: operation not permitted"},
		"limit": {staging.Attributes{Limits: []staging.Limit{mustLimit(t, "nofile=4096:unlimited")}}, "cannot set the limit nofile=4096:unlimited: operation not permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			got := asNobody(t, test.a)
			if !strings.Contains(got, test.text) {
				t.Errorf("%q, want %q in it", got, test.text)
			}
		})
	}
}

func mustLimit(t *testing.T, text string) staging.Limit {
	t.Helper()
	l, err := staging.ParseRlimit(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// asNobody starts a worker with the attributes from a brood without privilege,
// which is this binary as a helper, and returns the error.
func asNobody(t *testing.T, a staging.Attributes) string {
	t.Helper()
	c := helper(t, "fail", a)
	if os.Geteuid() == 0 {
		c.Attributes = staging.Attributes{User: &staging.User{UID: 65534, GID: 65534}}
	}
	return run(t, newStage(t), c)
}

func TestManyStartsLeaveNothingBehind(t *testing.T) {
	n, enough := 2000, 10*time.Second // under the race detector one start takes 20 ms
	if testing.Short() {
		n = 100
	}
	if more, err := strconv.Atoi(os.Getenv("BROOD_TEST_STORM")); err == nil {
		n, enough = more, time.Hour
	}
	s := newStage(t)
	l := listen(t)
	before, began := openFiles(t), time.Now()
	for i := 0; i < n && time.Since(began) < enough; i++ {
		path := "/bin/true"
		if i%10 == 0 {
			path = "/nowhere"
		}
		p, err := start(s, staging.Command{Path: path, Args: []string{path}, Attributes: staging.Attributes{Files: []int{l}}})
		if (err != nil) != (path == "/nowhere") {
			t.Fatal(err)
		}
		if err == nil {
			if _, ws := p.end(); ws != 0 {
				t.Fatalf("start %d ended with %#x", i, uint32(ws))
			}
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors are open, before it were %d", after, before)
	}
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: %v", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestWithoutProcTheFileThatBroodWasStartedByIsUsed(t *testing.T) {
	s, err := staging.New("/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run(t, s, staging.Command{Path: "/bin/true", Args: []string{"true"}})
}
