package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// small is little enough for every test run. No test looks at a time: what is
// tested is that each row still measures what it says.
func small() sizes {
	return sizes{
		atMost: time.Minute, runs: 3, small: 2, large: 1, workers: 40,
		adopting: 1, orphans: 200, idle: 1, scrapes: 2, scraped: 40, exits: 300,
		few: 1, many: 1, adopted: 1, trials: 1, patience: 20 * time.Second, settle: 200 * time.Millisecond,
	}
}

func TestMain(m *testing.M) {
	if served, err := servesPage(os.Args); served {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func needC(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		if os.Getenv("BROOD_TEST_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("the floors are C programs:", err)
	}
}

// noBrood is for tests that run none: building one takes seconds.
const noBrood = "/dev/null"

func testLab(t *testing.T, brood string) *lab {
	t.Helper()
	needC(t)
	l, err := openLab(t.Context(), brood, small())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestCheapRows(t *testing.T) {
	needC(t)
	wanted, err := selectRows("true,small,large,orphans,idle,size,exits")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r, err := measure(t.Context(), "", wanted, small())
	if r != nil {
		r.show(&out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	table := out.String()
	t.Log("\n" + table)
	for _, r := range wanted.rows {
		line := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(r.title(small())) + ` .*\| (pass|MISS) +\|$`)
		if !line.MatchString(table) {
			t.Errorf("no line with a verdict for %q", r.name)
		}
	}
	if want := "| 0 lost, 0 wrong of "; !strings.Contains(table, want) {
		t.Errorf("no %q", want)
	}
}

// The floor is worth its name only if it does the same: all workers run, and
// all have their SIGTERM.
func TestTheFloorRaisesAllWorkers(t *testing.T) {
	l := testLab(t, noBrood)
	shared := testShared(t, l)
	if _, err := l.output(l.c("raise"), shared, "7", "-", "0", "15", l.c("spawn"), "7", l.c("worker"), shared); err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[int]uint32{offsetRunning: 7, offsetTold: 7} {
		if got, err := sharedUint32(shared, offset); err != nil || got != want {
			t.Errorf("%d workers (%v), want %d", got, err, want)
		}
	}
}

func testShared(t *testing.T, l *lab) string {
	t.Helper()
	shared, err := l.sharedFile()
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

// A floor that starts fewer workers, a brood without PID files, or a peer that
// leaves somebody behind is found out.
func TestRaiseWaitsForAll(t *testing.T) {
	l := testLab(t, noBrood)
	shared := testShared(t, l)
	files := filepath.Join(l.shm, "none.%d.pid")
	for name, args := range map[string][]string{
		"a worker too few":     {shared, "3", "-", "0", "15", l.c("spawn"), "2", l.c("worker"), shared},
		"no PID files":         {shared, "2", files, "0", "15", l.c("spawn"), "2", l.c("worker"), shared},
		"a worker not told":    {shared, "1", "-", "0", "15", "/bin/sh", "-c", l.c("worker") + " " + shared + " & wait"},
		"a process that stays": {shared, "1", "-", "0", "15", "/bin/sh", "-c", "setsid sleep 60 & exec " + l.c("worker") + " " + shared},
	} {
		cmd := exec.CommandContext(t.Context(), l.c("raise"), args...)
		cmd.Env = append(os.Environ(), "RAISE_SECONDS=1")
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s: no error, but %q", name, out)
		}
	}
}

// A program that wakes up ten times a second is seen to.
func TestWakeupsAreCounted(t *testing.T) {
	l := testLab(t, noBrood)
	ticker, err := l.beginProgram(testShared(t, l), "sh", "-c", "while sleep 0.1; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	defer ticker.end()
	woken, err := l.wakeups(time.Second, ticker.pid())
	if err != nil || woken[0] < 3 {
		t.Errorf("%v wake-ups, %v", woken, err)
	}
}

func TestScrapesAreOfAllWorkers(t *testing.T) {
	l := testLab(t, "")
	results, err := measureScraped(l)
	if err != nil || len(results) != 2 {
		t.Errorf("%v, %v", results, err)
	}
}

func TestPagesHaveAllSeries(t *testing.T) {
	l := testLab(t, "")
	results, err := measurePages(l)
	if err != nil || len(results) != 2 {
		t.Errorf("%v, %v", results, err)
	}
}

func TestAllocated(t *testing.T) {
	const line = "gc 7 @1.5s 1%: 0.02+1.4+0.003 ms clock, 0.05+0.04/0.9/0+0.006 ms cpu, "
	trace := line + "8->9->5 MB, 8 MB goal, 0 MB stacks\n" + "level=INFO msg=x\n" +
		line + "10->10->4 MB, 10 MB goal\n" + line + "8->8->4 MB, 8 MB goal\n"
	// 1 during the first, 5 until the second, 4 until the third.
	if got, n := allocated(trace); got != 10 || n != 3 {
		t.Errorf("%v MiB in %d collections, want 10 in 3", got, n)
	}
}

func TestReadExits(t *testing.T) {
	const log = `{"msg":"worker started","pid":252}
{"msg":"worker exited","pid":252,"code":1}
{"msg":"worker exited","pid":253,"code":0}
`
	if told, wrong, err := readExits(strings.NewReader(log)); told != 2 || wrong != 1 || err != nil {
		t.Errorf("%d told, %d wrong, %v, want 2 and 1", told, wrong, err)
	}
}

func TestUnknownRow(t *testing.T) {
	if _, err := selectRows("true,no"); err == nil || !strings.Contains(err.Error(), `"no"`) {
		t.Errorf("error %v", err)
	}
}
