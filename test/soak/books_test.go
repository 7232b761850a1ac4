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
	workers, probes map[string]int // by PID and code
	hooks           map[int]int    // by PID, of their starts
	hookCodes       map[int]int    // of their ends
	orphans         map[int]int    // by code
	kinds           map[string]int
	trouble         []string // lines that there should not be
}

func read(log []string) diary {
	d := diary{map[string]int{}, map[string]int{}, map[int]int{}, map[int]int{}, map[int]int{}, map[string]int{}, nil}
	for _, line := range log {
		switch message := value(line, "msg"); message {
		case `"worker exited"`:
			d.workers[value(line, "pid")+" "+value(line, "code")]++
			d.kinds["worker"]++
		case `"probe ended"`:
			d.probes[value(line, "pid")+" "+value(line, "code")]++
			d.kinds["probe"]++
		case `"hook started"`:
			d.hooks[number(line, "pid")]++
		case `"hook finished"`, `"hook failed"`, `"hook timed out"`, `"hook stopped"`:
			d.hookCodes[number(line, "code")]++
			d.kinds["hook"]++
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

// wantAllLogged finds each process in the log: workers and probes by PID and
// code, hooks by PID, orphans by code.
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
		case take(d.workers, key), take(d.probes, key):
		case d.hooks[e.pid] > 0 && take(d.hookCodes, e.code()):
			d.hooks[e.pid]--
		case take(d.orphans, e.code()):
		default:
			t.Errorf("the log does not have process %d, which was %q and has ended with %d", e.pid, e.was, e.code())
		}
	}
	for what, left := range map[string]int{
		"ends of workers": sum(d.workers), "ends of probes": sum(d.probes), "starts of hooks": sum(d.hooks),
		"ends of hooks": sum(d.hookCodes), "ends of orphans": sum(d.orphans),
	} {
		if left > 0 {
			t.Errorf("the log has %d %s more than there were", left, what)
		}
	}
}

// take takes one of what there is, if there is one.
func take[K comparable](from map[K]int, what K) bool {
	if from[what] == 0 {
		return false
	}
	from[what]--
	return true
}

func sum[K comparable](of map[K]int) (n int) {
	for _, some := range of {
		n += some
	}
	return n
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

func number(line, key string) int {
	n, _ := strconv.Atoi(value(line, key))
	return n
}
