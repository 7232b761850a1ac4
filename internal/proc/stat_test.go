package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// statLine is what the kernel prints for s; the fields that Stat leaves out
// carry values that would stand out if they were taken by mistake.
func statLine(s Stat) string {
	return fmt.Sprintf("%d (%s) %c %d %d %d 34816 -1 4194304 %d 777 %d 778 %d %d 779 780 20 -5 %d 0 %d %d %d 18446744073709551615 1 1 0\n",
		s.PID, s.Comm, s.State, s.PPID, s.PGRP, s.Session, s.MinFaults, s.MajFaults, s.UserTicks, s.SystemTicks,
		s.Threads, s.StartTicks, s.VirtualBytes, s.ResidentPages)
}

func sample() Stat {
	return Stat{
		PID: 4242, Comm: "python3", State: 'S', PPID: 1, PGRP: 4242, Session: 7, MinFaults: 101, MajFaults: 102,
		UserTicks: 103, SystemTicks: 104, Threads: 9, StartTicks: 123456789, VirtualBytes: 1 << 40, ResidentPages: 413,
	}
}

func TestParseStatWhateverTheProgramCallsItself(t *testing.T) {
	for _, comm := range []string{"sh", "", "a b", "))) R 1 1", "(sd-pam)", "new\nline", "\xff\xfe", ") S 1 2 3 (", "tab\t"} {
		want := sample()
		want.Comm = comm
		got, err := ParseStat([]byte(statLine(want)))
		if err != nil || got != want {
			t.Errorf("name %q: got %+v, %v, want %+v", comm, got, err, want)
		}
	}
}

func TestParseStatOfAProcessBeingReaped(t *testing.T) {
	want := sample()
	want.State, want.PGRP, want.Session, want.ResidentPages = 'Z', -1, -1, -3
	got, err := ParseStat([]byte(statLine(want)))
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestParseStatRefusesWhatTheKernelNeverPrints(t *testing.T) {
	good := statLine(sample())
	for name, text := range map[string]string{
		"empty":            "",
		"no name":          "4242 S 1 4242",
		"only a name":      "4242 (sh)",
		"half a name":      "4242 (sh",
		"turned round":     "4242 )sh( S 1 1 1",
		"no number":        strings.Replace(good, "4242 (", "x42 (", 1),
		"negative":         "-" + good,
		"number too large": strings.Replace(good, "4242 (", "4294967296 (", 1),
		"long state":       strings.Replace(good, " S ", " SS ", 1),
		"two spaces":       strings.Replace(good, " S ", "  S ", 1),
		"cut off":          good[:60],
		"overflow":         strings.Replace(good, "123456789", "18446744073709551616", 1),
		"signed start":     strings.Replace(good, "123456789", "-1", 1),
	} {
		if s, err := ParseStat([]byte(text)); err == nil {
			t.Errorf("%s: %q was read as %+v", name, text, s)
		}
	}
}

func TestEndedKnowsAZombieFromAProcessWhoseFirstThreadLeft(t *testing.T) {
	for _, tt := range []struct {
		state   byte
		threads int
		want    bool
	}{{'R', 1, false}, {'S', 4, false}, {'D', 1, false}, {'T', 1, false}, {'Z', 1, true}, {'Z', 0, true}, {'Z', 3, false}, {'X', 1, true}} {
		if got := (Stat{State: tt.state, Threads: tt.threads}).Ended(); got != tt.want {
			t.Errorf("state %c with %d threads: ended %v, want %v", tt.state, tt.threads, got, tt.want)
		}
	}
}

func TestStatOfMyself(t *testing.T) {
	var fs FS
	s, err := fs.Stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if s.PID != os.Getpid() || s.PPID != os.Getppid() || s.PGRP != unix.Getpgrp() || s.Threads < 1 || s.ResidentPages < 1 {
		t.Errorf("got %+v", s)
	}
	started := Clock{BootOffset()}.Started(s.StartTicks)
	if age := time.Since(started); age < 0 || age > time.Hour {
		t.Errorf("this test started at %v, %v ago", started, age)
	}
}

func TestStatOfAChildFromItsStartToItsReaping(t *testing.T) {
	before := time.Now()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("cannot run cat:", err)
	}
	after := time.Now()
	pid := cmd.Process.Pid
	s, err := FS("/proc").Stat(pid)
	if err != nil || s.PPID != os.Getpid() || s.Ended() {
		t.Errorf("alive: got %+v, %v", s, err)
	}
	// Ticks are 10 ms, and rounded down.
	started := Clock{BootOffset()}.Started(s.StartTicks)
	if started.Before(before.Add(-50*time.Millisecond)) || started.After(after.Add(50*time.Millisecond)) {
		t.Errorf("started at %v, want between %v and %v", started, before, after)
	}

	stdin.Close()
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if s, err := FS("/proc").Stat(pid); err != nil || s.State != 'Z' || !s.Ended() {
		t.Errorf("zombie: got %+v, %v", s, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if s, err := FS("/proc").Stat(pid); !Gone(err) {
		t.Errorf("reaped: got %+v, %v", s, err)
	}
}

func TestStatNamesTheFileItCannotRead(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "7", "stat"), "nonsense")
	_, err := FS(root).Stat(7)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(root, "7", "stat")) || Gone(err) {
		t.Errorf("got %v", err)
	}
	if _, err := FS(root).Stat(8); !Gone(err) {
		t.Errorf("got %v, want gone", err)
	}
}

func TestStatKeepsItsBufferOffTheHeap(t *testing.T) {
	// A name and a path remain, 40 bytes.
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector moves it there")
	}
	const runs, most = 1000, 256
	var before, after runtime.MemStats
	pid := os.Getpid()
	runtime.ReadMemStats(&before)
	for range runs {
		_, _ = FS("").Stat(pid)
	}
	runtime.ReadMemStats(&after)
	if bytes := (after.TotalAlloc - before.TotalAlloc) / runs; bytes > most {
		t.Errorf("%d bytes a call, want at most %d", bytes, most)
	}
}

func BenchmarkStat(b *testing.B) {
	var fs FS
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fs.Stat(os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statLine(sample())))
	f.Add([]byte("1 (a) b) c) Z 0 -1 -1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0\n"))
	f.Add([]byte("1 () "))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseStat(text)
		if err != nil {
			return
		}
		again, err := ParseStat([]byte(statLine(s)))
		if err != nil || again != s {
			t.Errorf("%q: read %+v, printed and read again %+v, %v", text, s, again, err)
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
