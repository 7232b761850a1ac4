package life_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brood-init/brood/test/internal/harness"
)

// broodVariables are the BROOD_* of an environment as env prints it.
func broodVariables(lines []string) map[string]string {
	vars := make(map[string]string)
	for _, l := range lines {
		if key, value, ok := strings.Cut(l, "="); ok && strings.HasPrefix(key, "BROOD_") {
			vars[key] = value
		}
	}
	return vars
}

func TestAWorkerKnowsWhoItIs(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		b := m.StartWith(t, harness.Options{
			Args: []string{"--env", "PORT={8000+index}", "--", "sh", "-c", "env >env.$BROOD_SLOT.tmp; mv env.$BROOD_SLOT.tmp env.$BROOD_SLOT; exec sleep 300"},
			// Settings and another brood's identity: nothing of it is the workers'.
			Env: []string{
				"BROOD_PROCESSES=2", "BROOD_LOG_LEVEL=debug", "BROOD_SLOT=9", "BROOD_LEADER=1", "BROOD_WORKER_PIDFILE=/x",
				"BROOD_INCARNATION=9", "NOTIFY_SOCKET=/run/notify", "LISTEN_FDS=1", "LISTEN_PID=4242", "WATCHDOG_USEC=5",
			},
			Dir: dir,
		})
		for slot, want := range map[int]map[string]string{
			1: {
				"BROOD_SLOT": "1", "BROOD_INDEX": "0", "BROOD_COUNT": "2", "BROOD_INCARNATION": "1", "BROOD_LEADER": "1",
				"BROOD_PIDFILE": b.PIDFile, "BROOD_WORKER_PIDFILE": b.SlotFile("1"),
			},
			2: {
				"BROOD_SLOT": "2", "BROOD_INDEX": "1", "BROOD_COUNT": "2", "BROOD_INCARNATION": "1",
				"BROOD_PIDFILE": b.PIDFile, "BROOD_WORKER_PIDFILE": b.SlotFile("2"),
			},
		} {
			text := harness.File(t, filepath.Join(dir, "env."+strconv.Itoa(slot)))
			lines := strings.Split(text, "\n")
			if diff := cmp.Diff(want, broodVariables(lines)); diff != "" {
				t.Errorf("slot %d (-want +got):\n%s", slot, diff)
			}
			if !slices.Contains(lines, "PORT="+strconv.Itoa(7999+slot)) {
				t.Errorf("slot %d has no PORT=%d in:\n%s", slot, 7999+slot, text)
			}
			for _, other := range []string{"NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_"} {
				if strings.Contains(text, "\n"+other) {
					t.Errorf("slot %d has got %s, which was brood's", slot, other)
				}
			}
		}
		b.Stop(t, 0)
	})
}

func TestALeaderIsReplacedOnlyByTheNextInItsSlot(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		file := filepath.Join(t.TempDir(), "file")
		b := m.Start(t, "-n2", "--restart-backoff=1ms..1ms", "--", "sh", "-c",
			"echo $BROOD_SLOT.$BROOD_INCARNATION leader=$BROOD_LEADER >>"+file+"; exec sleep 300")
		written := func(n int) {
			t.Helper()
			harness.Until(t, strconv.Itoa(n)+" have written", func() bool { return strings.Count(harness.Content(file), "\n") == n })
		}
		written(2)
		first, other := b.Slot(1), b.Slot(2)
		_ = harness.Kill(first, syscall.SIGKILL)
		written(3)
		_ = harness.Kill(other, syscall.SIGKILL)
		written(4)
		b.Stop(t, 0)
		wantLines(t, harness.Content(file), "leader=1", 2)
		for _, want := range []string{"1.1 leader=1\n", "1.2 leader=1\n", "2.1 leader=\n", "2.2 leader=\n"} {
			if !strings.Contains(harness.Content(file), want) {
				t.Errorf("no line %q in:\n%s", want, harness.Content(file))
			}
		}
	})
}

func TestDescriptorsPassThroughAndBroodsOwnDoNot(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		path := filepath.Join(t.TempDir(), "born with")
		write(t, path, "passed through\n")
		born, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer born.Close()
		b := m.StartWith(t, harness.Options{
			// exec: a shell may keep descriptors of its own.
			Args:  []string{"-n2", "--", "sh", "-c", "test $BROOD_SLOT = 1 && head -n1 <&3; exec sleep 300"},
			Extra: []*os.File{born},
		})
		b.Stdout.Await(t, "passed through")
		for slot := 1; slot <= 2; slot++ {
			// Until its exec is over, a shell or a loader has some of its own.
			harness.Until(t, "slot "+strconv.Itoa(slot)+" has the descriptors 0 to 3 alone", func() bool {
				var numbers []int
				for fd := range harness.FDs(b.Slot(slot)) {
					numbers = append(numbers, fd)
				}
				slices.Sort(numbers)
				return slices.Equal(numbers, []int{0, 1, 2, 3})
			})
		}
		b.Stop(t, 0)
	})
}

func TestBroodPinsNoMountAndWorkersStartWhereTheCallerIs(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		b := m.StartWith(t, harness.Options{Args: []string{"-n1", "--prepare", "sh -c 'pwd >prepared'", "--", "sh", "-c", "pwd; exec sleep 300"}, Dir: dir})
		b.Stdout.Await(t, dir)
		if got := harness.Content(filepath.Join(dir, "prepared")); got != dir+"\n" {
			t.Errorf("the prepare hook ran in %q, want %q", got, dir)
		}
		if got := harness.Cwd(b.PID); got != "/" {
			t.Errorf("brood is in %q, want /", got)
		}
		b.Stop(t, 0)
	})
}

func TestARelativeCommandIsTheCallers(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		if err := os.Symlink("/bin/echo", filepath.Join(dir, "service")); err != nil {
			t.Fatal(err)
		}
		b := m.StartWith(t, harness.Options{Args: []string{"-n1", "--", "./service", "here"}, Dir: dir})
		b.WantCode(t, 0)
		b.Stdout.Await(t, "here")
	})
}

func TestOnlyAnExplicitSingleWorkerGetsStdin(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		env  []string
		want bool
	}{
		"-n1":                       {args: []string{"-n1"}, want: true},
		"one by variable":           {env: []string{"BROOD_PROCESSES=1"}, want: true},
		"auto that comes to one":    {args: []string{"-nauto", "--max-processes=1"}},
		"negative, which is auto":   {args: []string{"-n=-1", "--max-processes=1"}},
		"two workers":               {args: []string{"-n2"}},
		"nothing said, one maximum": {args: []string{"--max-processes=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				if _, err := io.WriteString(w, "said to brood\n"); err != nil {
					t.Fatal(err)
				}
				b := m.StartWith(t, harness.Options{
					Args:  append(test.args, "--", "sh", "-c", "read line; echo got \"$line\"; readlink /proc/self/fd/0"),
					Env:   test.env,
					Stdin: r,
				})
				_ = r.Close()
				b.WantCode(t, 0)
				want := "got "
				if test.want {
					want = "got said to brood"
				}
				if got := b.Stdout.All(); got[0] != want {
					t.Errorf("the worker %q, want %q", got[0], want)
				} else if !test.want && got[1] != "/dev/null" && b.Stdout.Count("/dev/null") == 0 {
					t.Errorf("stdin of the worker is %q, want /dev/null", got[1])
				}
			})
		})
	}
}

func TestAWorkerHasTheLimitsAndAttributesOfTheCaller(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.StartWith(t, harness.Options{
			Args:  []string{"-n1", "--", "sh", "-c", "umask; nice; ulimit -Sn; ulimit -Hn; echo GOGC=$GOGC$GOMEMLIMIT$GOMAXPROCS"},
			Stage: harness.Stage{Umask: 0o027, Nice: 3, NoFile: 600},
		})
		b.WantCode(t, 0)
		if diff := cmp.Diff([]string{"0027", "3", "600", "4096", "GOGC="}, b.Stdout.All()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestEachWorkerLeadsAGroupOfItsOwn(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		b := m.Start(t, "-n2", "--", "sleep", "300")
		for slot := 1; slot <= 2; slot++ {
			pid := b.Slot(slot)
			if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
				t.Errorf("slot %d, process %d, is in group %d (%v)", slot, pid, pgid, err)
			}
		}
		b.Stop(t, 0)
	})
}
