package fanout

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/reaper"
)

// memoryEvents is a control group whose victims are counted by the test.
type memoryEvents struct {
	t    *testing.T
	file string
}

func newMemoryEvents(t *testing.T) (*oomWatch, memoryEvents) {
	t.Helper()
	root := t.TempDir()
	for path, text := range map[string]string{
		"proc/self/cgroup":    "0::/app\n",
		"proc/self/mountinfo": "609 608 0:27 / /sys/fs/cgroup ro,relatime - cgroup2 cgroup rw\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := memoryEvents{t, filepath.Join(root, "sys/fs/cgroup/app/memory.events")}
	if err := os.MkdirAll(filepath.Dir(m.file), 0o755); err != nil {
		t.Fatal(err)
	}
	m.killed(3) // before brood
	o := new(oomWatch)
	if o.prime(cgroup.Root(root)) {
		t.Error("all are to die with the first")
	}
	return o, m
}

func (m memoryEvents) killed(inAll int) {
	m.t.Helper()
	text := "low 0\nhigh 0\nmax 9\noom 9\noom_kill " + strconv.Itoa(inAll) + "\noom_group_kill 0\n"
	if err := os.WriteFile(m.file, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func TestWhoHasRunOutOfMemory(t *testing.T) {
	killed, told, by137 := reaper.Status{Signal: syscall.SIGKILL}, reaper.Status{Signal: syscall.SIGTERM}, reaper.Status{Code: 137}
	o, m := newMemoryEvents(t)
	if o.explains(killed) || o.rest() != 0 {
		t.Error("a victim from before brood explains a death")
	}
	m.killed(4)
	if o.explains(told) || o.explains(reaper.Status{Code: 1}) {
		t.Error("the killer sends nothing but SIGKILL")
	}
	if !o.explains(killed) || o.explains(killed) {
		t.Error("one victim explains one death")
	}
	m.killed(5)
	if !o.explains(by137) || o.explains(by137) {
		t.Error("a shell that reports its child's death by 137 is told from one that ends so by itself")
	}
	m.killed(8)
	if n := o.take(2); n != 2 {
		t.Errorf("two orphans are %d victims", n)
	}
	if n := o.rest(); n != 1 || o.rest() != 0 {
		t.Errorf("%d victims are left for a worker that fails", n)
	}
	m.killed(2) // the kernel counts upwards: this is another group, or nonsense
	if o.explains(killed) || o.rest() != 0 {
		t.Error("a count that falls explains a death")
	}
	if err := os.Remove(m.file); err != nil {
		t.Fatal(err)
	}
	if o.explains(killed) || o.rest() != 0 {
		t.Error("a group that is gone explains a death")
	}
	if unknown := new(oomWatch); unknown.explains(killed) {
		t.Error("without a control group a death is explained")
	}
}
