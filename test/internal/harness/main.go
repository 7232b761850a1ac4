package harness

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// paths are where this test run keeps its programs.
var paths struct {
	dir   string // with brood, worker and stage: the PATH of every run
	brood string
	stage string
}

// Main is the TestMain of every package with black-box tests. It builds brood
// once, and checks at the end that the tests themselves leaked nothing.
func Main(m interface{ Run() int }) {
	runIfHelper()
	os.Exit(run(m))
}

func run(m interface{ Run() int }) int {
	remove, err := install()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		return 1
	}
	defer remove()
	// What outlives a brood comes to the tests, and not to whoever runs them.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	// The tests mostly wait.
	if !flag.Parsed() {
		flag.Parse()
	}
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	code := m.Run()
	if code == 0 {
		// The thread that starts processes must live as long as they do.
		if err := goleak.Find(goleak.IgnoreAnyFunction(startOnOneThreadName)); err != nil {
			fmt.Fprintln(os.Stderr, "the tests left goroutines behind:", err)
			return 1
		}
	}
	return code
}

// runIfHelper becomes one of the helper programs if called by its name.
func runIfHelper() {
	switch filepath.Base(os.Args[0]) {
	case "worker":
		os.Exit(runWorker(os.Args[1:]))
	case "stage":
		fmt.Fprintln(os.Stderr, "stage:", runStage(os.Args[1:]))
		os.Exit(exitStage)
	}
}

// install builds brood and links the helper programs beside it.
func install() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "brood-test-")
	if err != nil {
		return nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	// Others than the owner may run them: some tests change the user.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	paths.dir = dir
	paths.brood = filepath.Join(dir, "brood")
	paths.stage = filepath.Join(dir, "stage")
	for _, name := range []string{"worker", "stage"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	if ready := os.Getenv("BROOD_TEST_BINARY"); ready != "" {
		return remove, os.Symlink(ready, paths.brood)
	}
	if err := Build(paths.brood, "github.com/brood-init/brood/cmd/brood"); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// Build makes a program of a package, flags before it, as brood is built.
func Build(path string, args ...string) error {
	build := exec.Command("go", append([]string{"build", "-trimpath", "-tags=nethttpomithttp2", "-o", path}, args...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return errors.New("go build: " + string(out))
	}
	return nil
}

// Binary is the brood under test.
func Binary() string { return paths.brood }

// Path is a PATH on which brood and worker are found, with the system's after
// it.
func Path() string {
	return paths.dir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// Missing skips a test because of something that this machine does not have,
// or fails it where everything is supposed to be there.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("BROOD_TEST_REQUIRE") != "" {
		t.Fatalf("BROOD_TEST_REQUIRE is set, but "+format, args...)
	}
	t.Skipf(format, args...)
}

// Need returns the path of a program, or ends the test by Missing.
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		Missing(t, "%s is not installed", program)
	}
	return path
}

// Full reports whether storms should have their full size.
func Full() bool { return os.Getenv("BROOD_TEST_FULL") != "" }
