package peers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/brood-init/brood/test/internal/harness"
)

const trials = 5

// A daemon below the child needs 0.3 s after TERM to put its things in order.
func TestAStragglersCleanUp(t *testing.T) {
	each(t, func(t *testing.T, m harness.Mode, p peer) {
		for row, stop := range map[string]bool{
			"40 stragglers that finish a clean-up of 0.3 s, init asked to stop":   true,
			"41 stragglers that finish a clean-up of 0.3 s, child ends by itself": false,
		} {
			cleaned := 0
			for range trials {
				file := filepath.Join(t.TempDir(), "file")
				script := "setsid -f worker slow $F 300ms; until test -s $F; do sleep 0.01; done"
				if stop {
					script += "; exec sleep 300"
				}
				b := p.start(t, m, harness.Options{Env: []string{"F=" + file}, Stderr: null(t), Stdout: null(t)}, "sh", "-c", script)
				if stop {
					harness.File(t, file)
					harness.Until(t, "the child sleeps", func() bool { return below(b, "sleep") == 1 })
					b.Signal(syscall.SIGTERM)
				}
				b.Wait()
				if strings.Contains(harness.Content(file), "cleaned") {
					cleaned++
				}
			}
			if p.program == "" && cleaned != trials {
				t.Errorf("%s: %d of %d", row, cleaned, trials)
			}
			results.note(row, p, fmt.Sprintf("%d of %d", cleaned, trials))
		}
	})
}

func TestOrphans(t *testing.T) {
	each(t, func(t *testing.T, m harness.Mode, p peer) {
		const n = 100
		b := p.start(t, m, harness.Options{LeavesProcesses: true}, "sh", "-c",
			"i=0; while [ $i -lt 100 ]; do (true &); i=$((i+1)); done; echo done; exec sleep 300")
		b.Stdout.Await(t, "done")
		adopted := harness.Within(harness.Fatal, func() bool { return len(harness.Children(b.PID)) == 1 })
		if !adopted {
			t.Errorf("children: %v", harness.Children(b.PID))
		}
		// Only who is PID 1 or a subreaper gets a daemon.
		file := filepath.Join(t.TempDir(), "file")
		own := startDaemon(t, m, p, file)
		cell := "adopts and reaps"
		if !own {
			cell = "does not adopt"
		}
		results.note("50 orphans "+m.String(), p, cell)
		if p.program == "" && !own {
			t.Error("the orphan was not adopted")
		}
		b.Signal(syscall.SIGTERM)
		b.Wait()
	})
}

// startDaemon reports whether a daemon of the child becomes a child of the
// init.
func startDaemon(t *testing.T, m harness.Mode, p peer, file string) (adopted bool) {
	t.Helper()
	b := p.start(t, m, harness.Options{Env: []string{"F=" + file}, Stderr: null(t), Stdout: null(t)},
		"sh", "-c", "(setsid -f worker slow $F 1ms); exec sleep 300")
	harness.File(t, file)
	adopted = harness.Within(p.patience(), func() bool {
		return slices.ContainsFunc(harness.Children(b.PID), func(c harness.Process) bool { return c.Comm == "worker" })
	})
	b.Signal(syscall.SIGTERM)
	b.Wait()
	return adopted
}

func TestTheChildOfAKilledInit(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := p.start(t, harness.Mode{}, harness.Options{LeavesFiles: true, LeavesProcesses: true, Stdout: null(t), Stderr: null(t)}, "sleep", "300")
			harness.Until(t, "the child sleeps", func() bool { return below(b, "sleep") == 1 })
			pid := harness.Descendants(b.PID)[0].PID
			b.Signal(syscall.SIGKILL)
			b.Wait()
			cell := "lives on"
			if harness.Within(p.patience(), func() bool { return !harness.Alive(pid) }) {
				cell = "dies with it"
			} else if p.program == "" {
				t.Error("brood's child lives on")
			}
			results.note("60 child of an init that is killed, not PID 1", p, cell)
		})
	}
}

func TestCtrlC(t *testing.T) {
	each(t, func(t *testing.T, m harness.Mode, p peer) {
		file := filepath.Join(t.TempDir(), "file")
		keys, tty, err := pty.Open()
		if err != nil {
			harness.Missing(t, "no pseudo-terminal can be had: %v", err)
		}
		harness.Collect(t, keys)
		b := p.start(t, m, harness.Options{Terminal: tty, Setsid: true}, "worker", "slow", file, "200ms")
		_ = tty.Close()
		harness.File(t, file)
		if _, err := keys.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		b.Wait()
		got := strings.Count(harness.Content(file), " term")
		if got != 1 {
			t.Errorf("%s: Ctrl-C arrived %d times", p, got)
		}
		results.note("70 SIGINTs that the child gets per Ctrl-C", p, fmt.Sprint(got))
	})
}

func TestMemory(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := p.start(t, harness.Mode{}, harness.Options{}, "sleep", "300")
			harness.Until(t, "the child sleeps", func() bool { return below(b, "sleep") == 1 })
			init, _ := harness.Look(b.PID)
			var kb float64
			if _, err := fmt.Sscanf(init.Status("VmRSS"), "%f kB", &kb); err != nil {
				t.Error(err)
			}
			results.note("80 resident memory of the init with one child", p, fmt.Sprintf("%.1f MB", kb/1024))
			b.Signal(syscall.SIGTERM)
			b.Wait()
		})
	}
}

func below(b *harness.Brood, comm string) (n int) {
	for _, p := range harness.Descendants(b.PID) {
		if p.Comm == comm {
			n++
		}
	}
	return n
}

func null(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
