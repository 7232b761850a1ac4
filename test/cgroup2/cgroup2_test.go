package cgroup2_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// patience is for a machine that is busy with other tests.
const patience = 4 * time.Minute

// computer is a kind of machine that QEMU can be.
type computer struct {
	arch    string // Go's and Debian's name
	qemu    string
	board   string
	console string
	within  time.Duration // how long a boot may take
}

// All take their processor from QEMU: nested virtualisation is not to be relied on.
var (
	amd64 = computer{"amd64", "qemu-system-x86_64", "q35", "ttyS0", 45 * time.Second} // 3 s on an idle machine
	arm64 = computer{"arm64", "qemu-system-aarch64", "virt", "ttyAMA0", 3 * time.Minute}
)

// kernel finds one, or fetches it.
func (c computer) kernel(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("BROOD_TEST_KERNEL"); path != "" && c == amd64 {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	fetch := exec.CommandContext(t.Context(), "../../scripts/kernel.sh", filepath.Join(cache, "brood-test-kernel"), c.arch)
	var said bytes.Buffer
	fetch.Stderr = &said
	out, err := fetch.Output()
	if err != nil {
		harness.Missing(t, "there is no kernel to boot: %v: %s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// initialFiles writes the archive that the kernel unpacks to be its root.
func (c computer) initialFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	archive, err := os.Create(filepath.Join(dir, "root.cpio"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	w := cpio{w: archive}
	for _, name := range []string{"proc", "sys", "dev", "tmp", "run"} {
		w.add(name, 0o40755, nil)
	}
	for name, source := range map[string]string{"init": "./test/cgroup2/machine", "brood": "./cmd/brood", "guest": "./test/docker/guest"} {
		path := filepath.Join(dir, name)
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, source)
		build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+c.arch)
		if ready := os.Getenv("BROOD_TEST_BINARY"); name == "brood" && ready != "" && c.arch == runtime.GOARCH {
			path = ready
		} else if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %s", out)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w.add(name, 0o100755, content)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return archive.Name()
}

// boot runs the machine to its end and returns what it has said. An emulated
// boot hangs now and then, before the first program runs: it gets another try.
func (c computer) boot(t *testing.T) string {
	t.Helper()
	words := []string{ // no network and no disk
		harness.Need(t, c.qemu), "-M", c.board, "-accel", "tcg", "-cpu", "max", "-smp", "4", "-m", "768",
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", c.kernel(t), "-initrd", c.initialFiles(t),
		"-append", "console=" + c.console + " quiet panic=-1 psi=1",
	}
	const tries = 3
	for range tries {
		said, err := c.try(t.Context(), words)
		if !strings.Contains(said, "@ up") {
			t.Logf("the machine did not come up: %v\n%s", err, said)
			continue
		}
		if err != nil {
			t.Fatalf("%v; the machine said:\n%s", err, said)
		}
		return said
	}
	t.Fatalf("the machine did not come up in %d tries", tries)
	return ""
}

// try boots the machine once.
func (c computer) try(ctx context.Context, words []string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience+c.within)
	defer cancel()
	var out serial
	out.upLate = time.AfterFunc(c.within, cancel)
	defer out.upLate.Stop()
	machine := exec.CommandContext(ctx, words[0], words[1:]...)
	machine.Stdout, machine.Stderr = &out, &out
	err = machine.Run()
	return strings.ReplaceAll(out.text.String(), "\r", ""), err
}

// serial is what the machine says.
type serial struct {
	text   bytes.Buffer
	upLate *time.Timer
}

// Write implements io.Writer. It is called by one goroutine, that of exec.Cmd.
func (s *serial) Write(p []byte) (int, error) {
	n, err := s.text.Write(p)
	if bytes.Contains(s.text.Bytes(), []byte("@ up")) {
		s.upLate.Stop()
	}
	return n, err
}

// What machine says of a scenario, and what it has not found as wanted.
var (
	verdict = regexp.MustCompile(`(?m)^@ (ok|failed) (.+)$`)
	wrong   = regexp.MustCompile(`(?m)^@ wrong (.+)$`)
)

func TestOnAMachineWithCgroupV2Only(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		harness.Missing(t, "test what is built for amd64 on such a machine")
	}
	amd64.plays(t)
}

// Nothing else runs what is built for arm64.
func TestOnAnArm64MachineAllIsTheSame(t *testing.T) {
	t.Parallel()
	if os.Getenv("BROOD_TEST_FULL") == "" {
		t.Skip("set BROOD_TEST_FULL=1 for it: an emulated processor and another kernel, some minutes")
	}
	arm64.plays(t)
}

// plays boots the machine and has its scenarios be tests.
func (c computer) plays(t *testing.T) {
	t.Helper()
	said := c.boot(t)
	text, done := said, 0
	for text != "" {
		at := verdict.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		before, state, name := text[:at[0]], text[at[2]:at[3]], text[at[4]:at[5]]
		text = text[at[1]:]
		done++
		t.Run(name, func(t *testing.T) {
			if state == "ok" {
				return
			}
			var reasons []error
			for _, m := range wrong.FindAllStringSubmatch(before, -1) {
				reasons = append(reasons, errors.New(m[1]))
			}
			t.Errorf("%v\n%s", errors.Join(reasons...), before)
		})
	}
	if !strings.Contains(text, "@ all done") || done == 0 {
		t.Errorf("the machine did not come to its end; it said:\n%s", said)
	}
}
