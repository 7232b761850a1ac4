package soak_test

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// size is what must not grow.
type size struct{ fds, threads, goroutines, rss, series int }

// growths are the parts of a size, and how much more of each is growth when all
// is as it was before: threads and memory that have been needed once are kept.
func growths() map[string]struct {
	get   func(size) int
	grown int
} {
	return map[string]struct {
		get   func(size) int
		grown int
	}{
		"file descriptors": {func(s size) int { return s.fds }, 0},
		"goroutines":       {func(s size) int { return s.goroutines }, 0},
		"series":           {func(s size) int { return s.series }, 0},
		"threads":          {func(s size) int { return s.threads }, 4},
		"kB of memory":     {func(s size) int { return s.rss }, 6 << 10},
	}
}

// patience is what may take long on a loaded machine.
const patience = 2 * time.Minute

// rest lets the toilers do nothing, has as many of them as there may be, and
// looks how big brood is then. What is in use for a moment, by a probe or by the
// look itself, is no part of it: the least of some looks counts.
func (r *run) rest() size {
	if err := harness.Touch(r.resting); err != nil {
		r.t.Fatal(err)
	}
	r.verb("scale", strconv.Itoa(most))
	if !harness.Within(patience, r.isQuiet) {
		r.t.Fatalf("it never became quiet; brood said:\n%s", r.b.Stderr)
	}
	least := r.size()
	looks := time.NewTicker(100 * time.Millisecond)
	defer looks.Stop()
	for range 20 {
		<-looks.C
		s := r.size()
		least = size{
			min(least.fds, s.fds), min(least.threads, s.threads), min(least.goroutines, s.goroutines),
			min(least.rss, s.rss), min(least.series, s.series),
		}
	}
	return least
}

// wake ends a rest.
func (r *run) wake() {
	if err := os.Remove(r.resting); err != nil {
		r.t.Fatal(err)
	}
}

// isQuiet reports whether all workers are up and nobody else is there.
func (r *run) isQuiet() bool {
	return len(r.b.Workers()) == most && exec.Command(harness.Binary(), "status", "--pidfile", r.b.PIDFile).Run() == nil
}

func (r *run) size() size {
	p, ok := harness.Look(r.b.PID)
	if !ok {
		r.t.Fatal("brood is gone")
	}
	text := r.page()
	numberOf := func(pattern, text string) int {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			r.t.Fatalf("nothing matches %s in:\n%s", pattern, text)
		}
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return size{
		fds:        len(harness.FDs(r.b.PID)),
		threads:    numberOf(`^(\d+)$`, p.Status("Threads")),
		rss:        numberOf(`^(\d+) kB$`, p.Status("VmRSS")),
		goroutines: numberOf(`(?m)^brood_process_goroutines (\d+)$`, text),
		// Each code that somebody has ended with has a series.
		series: strings.Count(text, "\nbrood_") - strings.Count(text, "\nbrood_reaped_exit_"),
	}
}

// wantNoGrowth compares what brood was after warming up with what it is at last.
func (r *run) wantNoGrowth(before, after size) {
	parts := growths()
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		was, is := parts[name].get(before), parts[name].get(after)
		r.t.Logf("%s: %d after warming up, %d at last", name, was, is)
		if is > was+parts[name].grown {
			r.t.Errorf("%s have grown from %d to %d", name, was, is)
		}
	}
}
