package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	pass = "pass"
	miss = "MISS"
)

// verdict is the word for a budget that is kept or not.
func verdict(kept bool) string {
	if kept {
		return pass
	}
	return miss
}

// table collects the lines of the budgets.
type table struct{ lines [][]string }

func (t *table) add(r row, s sizes, res result) {
	if t.lines == nil {
		t.lines = [][]string{{"what", "bar", "brood", "floor or peer", "ratio of minima", "verdict"}}
	}
	what, bar := r.title(s), r.bar
	if res.what != "" {
		what, bar = res.what, res.bar
	}
	if res.bar != "" {
		bar = res.bar
	}
	t.lines = append(t.lines, []string{what, bar, res.brood, res.peer, res.ratio, res.verdict})
}

func (t *table) show(out io.Writer) { printTable(out, t.lines) }

// printTable prints Markdown, its columns lined up for those who read it in a
// terminal.
func printTable(out io.Writer, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for n, cells := range lines {
		for i, c := range cells {
			fmt.Fprint(out, "| ", c, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+1))
		}
		fmt.Fprintln(out, "|")
		if n == 0 {
			fmt.Fprintln(out, strings.Repeat("| --- ", len(cells))+"|")
		}
	}
}

// samples are what one side of a race has measured.
type samples []time.Duration

func (s samples) min() time.Duration { return slices.Min(s) }

func (s samples) median() time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// String is the minimum and, in brackets, the median.
func (s samples) String() string {
	return fmt.Sprintf("%s (%s)", millis(s.min()), millis(s.median()))
}

// over is the ratio of the minima: noise only ever adds.
func (s samples) over(peer samples) float64 {
	return float64(s.min()) / float64(peer.min())
}

func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}

func times(ratio float64) string { return fmt.Sprintf("%.2fx", ratio) }

func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "|", "/")), " ")
}
