package fanout

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/pidfiles"
	"github.com/brood-init/brood/reaper"
)

// tree is a /proc of processes that do not exist. Brood has the number 50, the
// group 50 and the session 9.
type tree struct {
	t    *testing.T
	root string
}

func (p tree) process(pid int, state byte, parent, group, session int, env ...string) {
	p.t.Helper()
	dir := filepath.Join(p.root, fmt.Sprint(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	stat := fmt.Sprintf("%d (x) %c %d %d %d 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 100 4096 1\n", pid, state, parent, group, session)
	for name, text := range map[string]string{"stat": stat, "environ": strings.Join(append(env, ""), "\x00")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

func newTree(t *testing.T) (tree, *Host) {
	t.Helper()
	p := tree{t, t.TempDir()}
	p.process(50, 'S', 1, 50, 9)
	pattern, err := pidfiles.Parse(filepath.Join(t.TempDir(), "web.pid"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := pidfiles.Open(pattern, pidfiles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{proc: proc.FS(p.root), self: 50, dir: dir, reaper: reaper.New(reaper.Options{}), highest: 4}
	return p, h
}

// Whom brood has adopted is known by its environment, if that is one of brood's
// own making.
func TestWhoseAnAdoptedProcessIs(t *testing.T) {
	p, h := newTree(t)
	ours := EnvPIDFile + "=" + h.dir.Pattern().String()
	p.process(60, 'S', 50, 60, 60, ours, "BROOD_SLOT=3")                       // a daemon of slot 3,
	p.process(61, 'S', 60, 60, 60)                                             // its child,
	p.process(62, 'Z', 61, 60, 60)                                             // whose child it does not wait for
	p.process(63, 'S', 50, 60, 60)                                             // and another that it has left
	p.process(64, 'Z', 50, 64, 64)                                             // brood will reap it
	p.process(70, 'S', 50, 70, 70, ours, "BROOD_SLOT=3", "BROOD_REASON=oom")   // of an exit hook
	p.process(71, 'S', 50, 71, 71, "BROOD_PIDFILE=/other.pid", "BROOD_SLOT=2") // of a brood in this one
	p.process(72, 'S', 50, 72, 72, "BROOD_SLOT=2")                             // who knows
	p.process(73, 'S', 50, 73, 73, ours, "BROOD_SLOT=5")                       // there was no such slot
	p.process(74, 'S', 50, 74, 74, ours, "BROOD_SLOT=x")
	p.process(75, 'S', 1, 75, 75, ours, "BROOD_SLOT=1") // no child of ours
	p.process(76, 'S', 50, 50, 9, ours, "BROOD_SLOT=2") // has gone into brood's own group
	census := h.Census(time.Minute)
	if census == nil {
		t.Fatal("there is no census")
	}
	want := map[int]Leaks{3: {Zombies: 1, Adopted: 1}, 2: {Adopted: 1}}
	for slot := range 6 {
		if got := census.Slots[slot]; got != want[slot] {
			t.Errorf("slot %d leaks %+v, want %+v", slot, got, want[slot])
		}
	}
	for group, family := range map[int]int{60: 3, 70: familyHook, 71: 0, 72: 0, 73: 0, 75: 0, 50: 0} {
		if got := h.reaper.Family(group, group); got != family {
			t.Errorf("group %d is of family %d, want %d", group, got, family)
		}
	}
	// Now that its group is known: the next look needs no environment.
	if census := h.Census(0); census.Slots[3] != (Leaks{Zombies: 1, Adopted: 2}) {
		t.Errorf("at the second look slot 3 leaks %+v", census.Slots[3])
	}
	if again := h.Census(time.Minute); again != h.census || time.Since(again.At) > time.Minute {
		t.Error("a count that is new enough was taken anew")
	}
}

// A look costs what all processes of the machine do, where brood is not PID 1.
func TestWhoLeavesNobodyBehindIsNotLookedFor(t *testing.T) {
	h := &Host{
		reaper: reaper.New(reaper.Options{}), walks: newMailbox[func()](), inputs: make(chan Input, 4), closed: make(chan struct{}),
	}
	h.news = newOutbox(h.inputs, h.closed)
	defer close(h.closed)
	worker := Ref{Kind: KindWorker, Slot: 1}
	h.exited(worker, reaper.Exit{})
	if _, walks := h.walks.poll(); walks {
		t.Error("there is nobody, and brood looks")
	}
	left := exec.Command("sleep", "60")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	h.exited(worker, reaper.Exit{})
	if _, walks := h.walks.poll(); !walks {
		t.Error("there is somebody, and brood does not look")
	}
	_ = left.Process.Kill()
	_ = left.Wait()
}

func TestTooManyProcessesAreNotCounted(t *testing.T) {
	p, h := newTree(t)
	for pid := 100; pid <= 100+mostProcesses; pid++ {
		if err := os.Mkdir(filepath.Join(p.root, fmt.Sprint(pid)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if census := h.Census(time.Minute); census != nil {
		t.Errorf("the census is %+v", census)
	}
	h = &Host{proc: proc.None, reaper: h.reaper}
	if census := h.Census(0); census != nil {
		t.Errorf("without /proc it is %+v", census)
	}
}
