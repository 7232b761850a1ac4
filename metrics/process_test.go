package metrics

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/proc"
)

func TestDescriptorsAreCountedByBothWays(t *testing.T) {
	var files []*os.File
	for range 50 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	most := len(entries) // with the directory itself
	bySize := newProcessReader("")
	byOne := newProcessReader("")
	byOne.sized = false
	for name, p := range map[string]*processReader{"by size": bySize, "one by one": byOne} {
		n, err := p.fds(os.Getpid())
		if err != nil || n < len(files) || n > most+1 {
			t.Errorf("%s: %d, %v; there are %d", name, n, err, most)
		}
	}
	if !bySize.sized {
		t.Log("this kernel does not tell the number by the size")
	}
}

func TestTooManyDescriptorsAreNotCounted(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "7", "fd"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := newProcessReader(proc.FS(dir))
	for i := range maxFDs {
		if err := os.WriteFile(filepath.Join(dir, "7", "fd", strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := p.fds(7); n != maxFDs || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "7", "fd", "one-more"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.fds(7); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
	if _, err := p.fds(8); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
}

func TestTheLimitIsTheSameByBothWays(t *testing.T) {
	var want unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
		t.Fatal(err)
	}
	p := newProcessReader("")
	if n, err := p.fdLimit(os.Getpid(), 5); n != want.Cur || err != nil {
		t.Errorf("prlimit: %d, %v; want %d", n, err, want.Cur)
	}
	if n, err := p.fdLimitOfFile(os.Getpid()); n != want.Cur || err != nil {
		t.Errorf("file: %d, %v; want %d", n, err, want.Cur)
	}
}

func TestTheLimitsFileIsReadOnce(t *testing.T) {
	f := newFakeProc(t)
	f.limits(7, 1234)
	p := newProcessReader(proc.FS(f.dir))
	if n, err := p.fdLimit(7, 0); n != 1234 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	f.remove(7)
	if n, err := p.fdLimit(7, 1234); n != 1234 || err != nil {
		t.Errorf("known before: got %d, %v", n, err)
	}
	f.write(7, "limits", "Max open files            unlimited            unlimited            files\n")
	if n, err := p.fdLimit(7, 0); err == nil {
		t.Errorf("got %d", n)
	}
}

func TestChildrenOfAllThreads(t *testing.T) {
	c := exec.CommandContext(t.Context(), "cat")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Skip("cannot run cat:", err)
	}
	got, err := newProcessReader("").children(nil, os.Getpid())
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		t.Log("this kernel does not list children")
	case err != nil || !slices.Contains(got, c.Process.Pid):
		t.Errorf("got %v, %v; want %d among them", got, err, c.Process.Pid)
	}
	stdin.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// A list of children may be longer than the buffer.
func TestFilesOfAnyLength(t *testing.T) {
	f := newFakeProc(t)
	var text strings.Builder
	want := []int{}
	for pid := 1; text.Len() < 3*readBuffer; pid++ {
		text.WriteString(strconv.Itoa(pid) + " ")
		want = append(want, pid)
	}
	f.write(7, "task/7/children", text.String())
	got, err := newProcessReader(proc.FS(f.dir)).children(nil, 7)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d of %d children, %v", len(got), len(want), err)
	}
}

func TestZombiesAreNotCountedWhenThatIsDear(t *testing.T) {
	f := newFakeProc(t)
	g := newTestGatherer(t, f, "", Options{Table: NewTable()})
	all := ""
	for pid := 100; pid < 100+maxStrangers; pid++ {
		all += strconv.Itoa(pid) + " "
	}
	f.write(testSelf, "task/1/children", all)
	scrape(t, g).want(t, readable{"brood_zombies": 0})
	f.write(testSelf, "task/1/children", all+"99999 ")
	scrape(t, g).want(t, readable{"brood_zombies": absent})

	f.remove(testSelf) // a kernel without the list: asked once, counted once
	errors := `brood_proc_read_errors_total{file="children"}`
	scrape(t, g).want(t, readable{"brood_zombies": absent, errors: 1})
	scrape(t, g).want(t, readable{"brood_zombies": absent, errors: 1})
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"", "0", "007", "123", "4194304", "99999999999999999999", "-1", "1a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := number([]byte(s))
		want, err := strconv.Atoi(s)
		if ok && (err != nil || n != want) {
			t.Errorf("%q is %d, want %d, %v", s, n, want, err)
		}
	})
}
