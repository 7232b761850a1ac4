package pidfiles

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestWhoCleansUpKeepsMastersAwayAndIsTakenForNone(t *testing.T) {
	d := opened(t, Options{})
	path := d.Pattern().MasterPath()
	other := startMaster(t, d.Pattern())
	defer end(t, other.Cmd)
	if _, err := d.LockDead(); !errors.Is(err, ErrMasterAlive) {
		t.Fatalf("beside a living master: %v", err)
	}
	must(t, other.Process.Signal(syscall.SIGKILL))
	_ = other.Wait()
	m, err := d.LockDead()
	must(t, err)
	if found, problem := d.FindMaster(); found != nil || problem == nil {
		t.Errorf("found a master: %+v, %v", found, problem)
	}
	if _, err := d.LockMaster(os.Getpid()); !errors.Is(err, ErrMasterAlive) {
		t.Errorf("a master came in between: %v", err)
	}
	if _, err := d.LockDead(); !errors.Is(err, ErrMasterAlive) {
		t.Errorf("a second one cleans up as well: %v", err)
	}
	must(t, m.Release())
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead master's file is still there: %v", err)
	}
	if !d.Empty() {
		t.Error("something is left")
	}
}

func TestOneOfThoseWhoAskForTheSameIsTheFirst(t *testing.T) {
	d := opened(t, Options{})
	if release, first := d.LockRequest(); !first {
		t.Error("without a master somebody was before us")
	} else {
		release()
	}
	m, err := d.LockMaster(os.Getpid())
	must(t, err)
	release, first := d.LockRequest()
	if !first {
		t.Error("somebody was before the first")
	}
	if _, first := d.LockRequest(); first {
		t.Error("the second is the first")
	}
	release()
	if release, first = d.LockRequest(); !first {
		t.Error("nobody is the first any more")
	}
	release()
	if d.Empty() {
		t.Error("a master's file counts as nothing")
	}
	must(t, m.Release())
}

func TestEmptyCountsWhatIsOfThePattern(t *testing.T) {
	d := opened(t, Options{})
	put(t, d.Pattern().Dir()+"/web.1.pid.bak", "1")
	if !d.Empty() {
		t.Error("a file of somebody else's counts")
	}
	put(t, d.Pattern().Path(3), "nonsense")
	if d.Empty() {
		t.Error("a file that nobody understands does not count")
	}
}
