package soak_test

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// wantAllCounted compares the last metrics with the kernel's account, and
// returns how many of each kind they have.
func wantAllCounted(t *testing.T, ends []end, metrics string) (kinds map[string]int) {
	t.Helper()
	want := map[string]int{}
	for _, e := range ends {
		want["processes"]++
		if e.status.Signaled() {
			want["signal "+unix.SignalName(e.status.Signal())]++
		} else {
			want["code "+strconv.Itoa(e.status.ExitStatus())]++
		}
	}
	got := map[string]int{}
	kinds = map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^brood_reaped_(processes|exit_codes|exit_signals)_total\{\w+="(\w+)"\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		n, _ := strconv.Atoi(m[3])
		switch {
		case n == 0:
		case m[1] == "processes":
			got["processes"] += n
			kinds[m[2]] = n
		case m[1] == "exit_codes":
			got["code "+m[2]] += n
		default:
			got["signal "+m[2]] += n
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("brood has counted\n%v, and the kernel\n%v", got, want)
	}
	t.Logf("%d ends as brood's children: %v", len(ends), kinds)
	return kinds
}

// diary is what the log tells of ends.
type diary struct {
	started map[string]int // workers, hooks and probes, by PID and code
	orphans map[int]int    // by code
	kinds   map[string]int
	trouble []string // lines that there should not be
}

func read(log []string) diary {
	d := diary{started: map[string]int{}, orphans: map[int]int{}, kinds: map[string]int{}}
	ended := func(kind, line string) {
		d.started[value(line, "pid")+" "+value(line, "code")]++
		d.kinds[kind]++
	}
	for _, line := range log {
		switch value(line, "msg") {
		case `"worker exited"`:
			ended("worker", line)
		case `"probe ended"`:
			ended("probe", line)
		case `"hook finished"`, `"hook failed"`, `"hook timed out"`, `"hook stopped"`:
			ended("hook", line)
		case `"orphans reaped"`, `"orphans reaped, some were killed for lack of memory"`:
			for _, m := range regexp.MustCompile(`(\d+):(\d+)`).FindAllStringSubmatch(value(line, "codes"), -1) {
				code, _ := strconv.Atoi(m[1])
				n, _ := strconv.Atoi(m[2])
				d.orphans[code] += n
				d.kinds["orphan"] += n
			}
		case `"worker not started"`, `"hook not started"`, `"internal error"`, `"log lines dropped, the reader is too slow"`, `"left behind"`:
			d.trouble = append(d.trouble, line)
		}
	}
	return d
}

// wantAllLogged finds each process in the log: what brood has started by PID and
// code, orphans by code.
func wantAllLogged(t *testing.T, ends []end, kinds map[string]int, log []string) {
	t.Helper()
	d := read(log)
	for _, line := range d.trouble {
		t.Errorf("the log has %q", line)
	}
	if !maps.Equal(d.kinds, kinds) {
		t.Errorf("the log has %v and the last metrics %v", d.kinds, kinds)
	}
	for _, e := range ends {
		switch key := fmt.Sprintf("%d %d", e.pid, e.code()); {
		case take(d.started, key):
		case take(d.orphans, e.code()):
		default:
			t.Errorf("the log does not have process %d, which was %q and has ended with %d", e.pid, e.was, e.code())
		}
	}
	wantNoneLeft(t, "process", d.started)
	wantNoneLeft(t, "orphan with code", d.orphans)
}

// take takes one of what there is, if there is one.
func take[K comparable](from map[K]int, what K) bool {
	if from[what] == 0 {
		return false
	}
	from[what]--
	return true
}

func wantNoneLeft[K comparable](t *testing.T, what string, told map[K]int) {
	t.Helper()
	for which, n := range told {
		if n > 0 {
			t.Errorf("the log has the end of %s %v %d times more than it happened", what, which, n)
		}
	}
}

// limits is how often brood has followed one.
func limits(metrics string) string {
	_, after, _ := strings.Cut(metrics, "brood_scalings_total{cause=\"limits\"} ")
	n, _, _ := strings.Cut(after, "\n")
	return n
}

// value is that of a key in a line of the log, as it stands there.
func value(line, key string) string {
	_, after, _ := strings.Cut(line, " "+key+"=")
	if quoted, isQuoted := strings.CutPrefix(after, `"`); isQuoted {
		text, _, _ := strings.Cut(quoted, `"`)
		return `"` + text + `"`
	}
	word, _, _ := strings.Cut(after, " ")
	return word
}
