package entrypoint

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/pidfiles"
)

// begin makes a process the master of the PID files in a new directory, as brood
// is before it listens.
func begin(t *testing.T) (setting string) {
	t.Helper()
	setting = filepath.Join(t.TempDir(), "run", "web.pid")
	pattern, err := pidfiles.Parse(setting)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := pidfiles.Open(pattern, pidfiles.Options{Sys: pidfiles.Sys{Proc: proc.FS("").Ours()}})
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), "sleep", "60") // nobody believes a file that names himself
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	master, err := dir.LockMaster(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = master.Release()
		_ = dir.Close()
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	return setting
}

func TestAVerbWaitsForTheSocketOfABroodThatHasJustBegun(t *testing.T) {
	setting := begin(t)
	listening := make(chan net.Listener, 1)
	go func() {
		<-time.After(50 * time.Millisecond)
		l, err := net.Listen("unix", socketPath(setting))
		if err != nil {
			t.Error(err)
		}
		listening <- l
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // which is another complaint than that nobody is there
		}
	}()
	complaint := ask("status", "--pidfile", setting).err
	l := <-listening
	defer l.Close()
	if strings.Contains(complaint, "no such file") || !strings.Contains(complaint, "cannot reach") {
		t.Errorf("it said %q, and should have reached the socket", complaint)
	}
}

func TestAVerbDoesNotWaitWhereNobodyHasBegun(t *testing.T) {
	fastest := beginningMost
	for range 5 { // the machine may be busy
		began := time.Now()
		if complaint := ask("status", "--pidfile", filepath.Join(t.TempDir(), "web.pid")).err; !strings.Contains(complaint, "no such file") {
			t.Errorf("it said %q", complaint)
		}
		fastest = min(fastest, time.Since(began))
	}
	if fastest > beginningMost/2 {
		t.Errorf("it took %s", fastest)
	}
}

func TestAVerbGivesUpOnABroodThatNeverListens(t *testing.T) {
	setting := begin(t)
	began := time.Now()
	if complaint := ask("status", "--pidfile", setting).err; !strings.Contains(complaint, "no such file") {
		t.Errorf("it said %q", complaint)
	}
	if took := time.Since(began); took < beginningMost {
		t.Errorf("it gave up after %s", took)
	}
}
