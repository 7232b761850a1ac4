package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// needNamespace is for what runs a peer as PID 1.
func needNamespace(t *testing.T, l *lab) {
	t.Helper()
	shared := testShared(t, l)
	r, err := l.beginFirst(l.floor("init"), shared, "/bin/true")
	if err == nil {
		<-r.ended
		if err = r.end(); err == nil && r.cmd.ProcessState.Success() {
			return
		}
	}
	if os.Getenv("BROOD_TEST_REQUIRE") != "" {
		t.Fatal(err, r)
	}
	t.Skip("no PID namespace can be had:", err)
}

// In each line that a peer can do, it has done it, and brood all of them.
func TestEachPeerIsMadeToWork(t *testing.T) {
	l := testLab(t, "")
	needNamespace(t, l)
	wanted, err := selectRows("command,codes,straggler,adopted,fanout,kept,exporter")
	if err != nil {
		t.Fatal(err)
	}
	r := new(report)
	for _, w := range wanted.works {
		r.compare(l, w)
	}
	var out strings.Builder
	r.show(&out)
	t.Log("\n" + out.String())
	if len(r.failed) > 0 {
		t.Fatalf("failed: %v", r.failed)
	}
	measured := regexp.MustCompile(`[0-9]`)
	for _, m := range r.others.tables {
		for _, cells := range m.lines[1:] {
			for i, name := range m.columns {
				cell := cells[i+1]
				if !measured.MatchString(cell) && (name == "brood" || !strings.HasPrefix(cell, "- ")) {
					t.Errorf("%s has %q for %q", name, cell, cells[0])
				}
			}
		}
	}
	for _, want := range []string{
		`exit code when the command exits with 7 .*\| 7 `,
		`exit code when the command is killed by TERM .*\| 143 `,
		`a straggler that needs 0\.3 s after TERM gets it .*\| 1 of 1 `,
	} {
		if !regexp.MustCompile(`(?m)^\| ` + want).MatchString(out.String()) {
			t.Errorf("no line %s", want)
		}
	}
}

// Also a manager that ends before its helpers leaves nobody behind.
func TestAPeerIsEndedWithAllThatItHasStarted(t *testing.T) {
	l := testLab(t, noBrood)
	for _, p := range l.peers()[1:] {
		if p.program == "" {
			continue
		}
		n := 1
		if p.many {
			n = 3
		}
		r, err := l.keep(p, n)
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		all := append(descendants(r.pid()), r.pid())
		if err := r.end(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		if len(all) <= n {
			t.Errorf("%s and what it has started: only %v", p.name, all)
		}
		for _, pid := range all {
			if syscall.Kill(pid, 0) == nil {
				t.Errorf("%s has left process %d", p.name, pid)
			}
		}
	}
}

// A run that is interrupted leaves nobody behind either.
func TestAnInterruptedRunEndsWhatItHasStarted(t *testing.T) {
	l := testLab(t, noBrood)
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := *l
	interrupted.ctx = ctx
	shared := testShared(t, l)
	ended := make(chan error, 1)
	go func() {
		_, err := interrupted.output(l.c("raise"), shared, "2", "-", "60000", "15", l.c("spawn"), "2", l.c("worker"), shared)
		ended <- err
	}()
	err := until(10*time.Second, func() (bool, error) {
		n, err := sharedUint32(shared, offsetRunning)
		return n == 2, err
	})
	all := descendants(os.Getpid())
	cancel()
	if err != nil || <-ended == nil || len(all) < 4 {
		t.Errorf("%v, only %v have run", err, all)
	}
	for _, pid := range all {
		if err := until(10*time.Second, func() (bool, error) { return !alive(pid), nil }); err != nil {
			t.Errorf("process %d is left", pid)
		}
	}
}

func TestWhereBroodIsBehindIsSaid(t *testing.T) {
	columns := []string{"brood", "a", "b", "c"}
	for want, cells := range map[string]map[string]cell{
		"**behind: 4.00x b**": {"brood": {"8", 8}, "a": {"3", 3}, "b": {"2", 2}, "c": said("- why")},
		"**behind b**":        {"brood": {"8", 8}, "b": {"0", 0}},
		"the best":            {"brood": {"1", 1}, "a": {"3", 3}},
		"as good as a":        {"brood": {"0", 0}, "a": {"0", 0}, "b": {"1", 1}},
		"":                    {"brood": said("5 of 5"), "a": said("0 of 5")},
	} {
		l := line{what: "x", cells: cells}
		if got := l.verdict(columns); got != want {
			t.Errorf("%v: %q, want %q", cells, got, want)
		}
	}
	l := line{cells: map[string]cell{"brood": {"8", 8}, "a": {"2", 2}, "b": {"yes", math.NaN()}}}
	for name, want := range map[string]string{"brood": "8", "a": "2, 0.25x", "b": "yes", "c": "-"} {
		if got := l.cell(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestNotesAreNumbered(t *testing.T) {
	var c comparison
	for _, l := range []line{{what: "x", note: "First."}, {what: "y", note: "Second."}, {what: "z", note: "First."}, {what: "w"}} {
		c.add([]string{"brood"}, l)
	}
	var out strings.Builder
	c.show(&out)
	for _, want := range []string{"| x (1) ", "| y (2) ", "| z (1) ", "| w    ", "1. First.\n2. Second.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// The pages have the place that -write looks for, and keep what is around it.
func TestPagesHaveAPlaceForTheTables(t *testing.T) {
	docs := t.TempDir()
	before := make(map[string]string)
	for _, name := range []string{"benchmarks.md", "comparison.md"} {
		page, err := os.ReadFile(filepath.Join("..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		before[name], _, _ = strings.Cut(string(page), begin)
		if err := os.WriteFile(filepath.Join(docs, name), page, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := report{machine: "This machine."}
	r.budgets.add(row{about: "a budget"}, small(), result{})
	r.others.add([]string{"brood"}, line{what: "a work"})
	if err := r.write(docs); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"benchmarks.md": "a budget", "comparison.md": "a work"} {
		page, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil || !strings.HasPrefix(string(page), before[name]+begin+"Times are") || !strings.Contains(string(page), "| "+want) {
			t.Errorf("%s is %q (%v)", name, page, err)
		}
	}
}
