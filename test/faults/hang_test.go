package faults_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// gate holds up everybody who opens a file: what a file on a disk that hangs,
// or on a server that does not answer, looks like.
type gate struct {
	t    *testing.T
	path string
	fd   int
	held []int32
}

func newGate(t *testing.T) *gate {
	t.Helper()
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		harness.Missing(t, "no file can be made to hang: fanotify_init needs CAP_SYS_ADMIN: %v", err)
	}
	g := &gate{t: t, fd: fd, path: filepath.Join(t.TempDir(), "sh")}
	// Closing it lets everybody through.
	t.Cleanup(func() { _ = unix.Close(fd) })
	program, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return g
}

// shut makes everybody wait who does one of these from now on.
func (g *gate) shut(mask uint64) {
	g.t.Helper()
	if err := unix.FanotifyMark(g.fd, unix.FAN_MARK_ADD, mask, unix.AT_FDCWD, g.path); err != nil {
		harness.Missing(g.t, "no file can be made to hang: this kernel has no fanotify permission events: %v", err)
	}
}

// await waits until somebody waits at the gate.
func (g *gate) await() {
	g.t.Helper()
	harness.Until(g.t, "somebody opens the program", func() bool {
		const size = 24 // of struct fanotify_event_metadata
		var buf [size]byte
		n, err := unix.Read(g.fd, buf[:])
		if err != nil || n < size {
			return false
		}
		g.held = append(g.held, int32(binary.NativeEndian.Uint32(buf[16:])))
		return true
	})
}

// pass lets those through that were waited for.
func (g *gate) pass() {
	g.t.Helper()
	for _, fd := range g.held {
		answer := binary.NativeEndian.AppendUint32(nil, uint32(fd))
		answer = binary.NativeEndian.AppendUint32(answer, unix.FAN_ALLOW)
		if _, err := unix.Write(g.fd, answer); err != nil {
			g.t.Fatal(err)
		}
		_ = unix.Close(int(fd))
	}
	g.held = nil
}

// moment lets time pass that something is to take.
func moment(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// scrapes asks for the metrics so often that brood has to collect garbage.
func scrapes(t *testing.T, address string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for range 100 {
		answer, err := client.Get("http://" + address + "/metrics")
		if err != nil {
			t.Fatalf("a scrape while a start hangs: %v", err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("a scrape while a start hangs: %s", answer.Status)
		}
	}
}

// The budget and what else a loaded machine may take. A start that held
// everybody up would take as long as the gate is shut: until the test is over.
const hangBudget, hangSlack = 2 * time.Second, 8 * time.Second

func wantInBudget(t *testing.T, b *harness.Brood) {
	t.Helper()
	asked := time.Now()
	b.Signal(syscall.SIGTERM)
	b.Wait()
	took := time.Since(asked)
	t.Logf("the stop took %s", took)
	if took > hangBudget+hangSlack {
		t.Errorf("brood has left %s after the request, its budget is %s; it said:\n%s", took, hangBudget, b.Stderr)
	}
}

// hang is a way in which the restart of slot 2, whose worker before has been
// killed, comes to hang.
type hang struct {
	mask uint64
	come func(t *testing.T, g *gate, b *harness.Brood, before int)
}

func hangs() map[string]hang {
	slowly := func(g *gate) {
		g.await()
		moment(200 * time.Millisecond) // slow for a disk
		g.pass()
	}
	return map[string]hang{
		"in the first look": {unix.FAN_OPEN_PERM, func(_ *testing.T, g *gate, _ *harness.Brood, _ int) { g.await() }},
		"in the exec": {unix.FAN_OPEN_PERM, func(_ *testing.T, g *gate, _ *harness.Brood, _ int) {
			slowly(g)
			g.await()
		}},
		// What only an exec is held up by, no look can tell before.
		"in the exec alone": {unix.FAN_OPEN_EXEC_PERM, func(_ *testing.T, g *gate, _ *harness.Brood, _ int) { g.await() }},
		// From the second time on it can be known from the exec before.
		"in another exec": {unix.FAN_OPEN_EXEC_PERM, func(t *testing.T, g *gate, b *harness.Brood, before int) {
			slowly(g)
			if err := harness.Kill(b.SlotAfter(2, before), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			g.await()
		}},
	}
}

func awaitListener(t *testing.T, address string) {
	t.Helper()
	harness.Until(t, "metrics are served", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// Wherever a restart hangs, in the look at the file or in the exec that follows,
// brood serves, buries and leaves in time.
func TestAStartThatHangsHoldsNobodyUp(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for name, hang := range hangs() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				g, address := newGate(t), harness.Address(t)
				b := m.Start(t, "-n", "2", "--metrics-addr", address, "--stop-timeout", hangBudget.String(),
					"--restart", "always", "--restart-backoff", "1ms..2ms", "--log-level=debug", "--", g.path, "-c", "sleep 300; true")
				b.WaitRunning(2)
				first, second := b.Slot(1), b.Slot(2)
				awaitListener(t, address)
				moment(100 * time.Millisecond) // what was read just now is not read again
				g.shut(hang.mask)
				if err := harness.Kill(second, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				hang.come(t, g, b, second)
				scrapes(t, address)
				before := b.Stderr.Count("orphans reaped")
				if err := harness.Kill(first, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				b.WaitLog("worker exited", "slot=1", "reason=signaled")
				harness.Until(t, "what it has left is reaped", func() bool { return b.Stderr.Count("orphans reaped") > before && len(b.Zombies()) == 0 })
				scrapes(t, address)
				wantInBudget(t, b)
			})
		}
	})
}

// Nothing has run yet, and nothing can: who asks brood to stop waits no longer than
// the budget.
func TestTheFirstStartThatHangsDoesNotKeepBrood(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		for name, mask := range map[string]uint64{"in the first look": unix.FAN_OPEN_PERM, "in the exec alone": unix.FAN_OPEN_EXEC_PERM} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				g, address := newGate(t), harness.Address(t)
				g.shut(mask)
				b := m.Start(t, "-n", "3", "--metrics-addr", address, "--stop-timeout", hangBudget.String(), "--", g.path, "-c", "exec sleep 300")
				g.await()
				awaitListener(t, address)
				scrapes(t, address)
				wantInBudget(t, b)
			})
		}
	})
}

// Workers that need the stage are brood's own file executed once more. Who
// updates it must not take it away from the brood that runs.
func TestTheStageOutlivesBroodsFile(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		program, err := os.ReadFile(harness.Binary())
		if err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(t.TempDir(), "brood")
		if err := os.WriteFile(own, program, 0o755); err != nil {
			t.Fatal(err)
		}
		pidfile := filepath.Join(t.TempDir(), "brood.pid")
		b := m.StartWith(t, harness.Options{Program: own, PIDFile: pidfile, Args: []string{
			"--pidfile", pidfile,
			"--metrics-addr", "none", "-n", "1", "--no-new-privs", "--restart-backoff", "1ms..2ms", "--", "sleep", "300",
		}})
		first := b.Slot(1)
		if err := os.Remove(own); err != nil {
			t.Fatal(err)
		}
		if err := harness.Kill(first, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.SlotAfter(1, first)
		b.Stop(t, 0)
	})
}

// lockThread keeps the calling goroutine on its thread.
func lockThread() (unlock func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
