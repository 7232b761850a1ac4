package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// work is what brood and its peers are made to do by turns. How many peers can
// do it differs; what its lines have no cell for was not done.
type work struct {
	name    string
	about   string
	columns []string // nil: all peers
	compare func(*lab) ([]line, error)
}

// line is one line of the comparison.
type line struct {
	what  string
	note  string // what it means, if the line does not say all
	cells map[string]cell
}

// cell is what one peer has made of a line.
type cell struct {
	text   string
	amount float64 // the less the better; NaN when more or less means nothing
}

func said(text string) cell { return cell{text, math.NaN()} }

// took is the cell for times. There are none if the peer has failed.
func took(s samples) cell { return cell{s.String(), float64(s.min())} }

// works lists the comparison in the order of the table.
func works() []work {
	return []work{
		{name: "command", about: "one command under each", compare: compareCommand},
		{name: "codes", about: "exit codes under each", compare: compareCodes},
		{name: "straggler", about: "a straggler under each", compare: compareStraggler},
		{name: "adopted", about: "orphans under each", compare: compareOrphans},
		{name: "fanout", about: "many workers under each", compare: compareFanout},
		{name: "kept", about: "what each costs at rest", compare: compareKept},
		{name: "exporter", about: "a scrape beside process-exporter", columns: []string{"brood", "process-exporter"}, compare: compareScrape},
	}
}

// able are the peers that can do a work. The cells say why the others cannot.
func able(all []peer, cannot func(peer) string) (some []peer, cells map[string]cell) {
	cells = make(map[string]cell)
	for _, p := range all {
		why := cannot(p)
		if p.program == "" {
			why = "not installed"
		}
		if why == "" {
			some = append(some, p)
		} else {
			cells[p.name] = said("- " + why)
		}
	}
	return some, cells
}

// cannotRun says why a peer does not run n workers.
func cannotRun(n int) func(peer) string {
	return func(p peer) string {
		if n > 1 && !p.many {
			return "one command"
		}
		return ""
	}
}

// cannotEnd says why there is no end to be seen of a peer.
func cannotEnd(p peer) string {
	if p.keeps {
		return "stays"
	}
	return ""
}

func canAll(peer) string { return "" }

// lineOf makes a line of what the able peers have made of it, beside the words
// for those that are not.
func lineOf(what, note string, others map[string]cell, some []peer, failed map[string]error, of func(peer) cell) line {
	cells := maps.Clone(others)
	for _, p := range some {
		if failed[p.name] != nil {
			cells[p.name] = said("- failed")
		} else {
			cells[p.name] = of(p)
		}
	}
	return line{what, note, cells}
}

// comparison collects the lines, as one table for each set of columns.
type comparison struct {
	tables []*matrix
	notes  []string
}

type matrix struct {
	columns []string
	lines   [][]string
}

func (c *comparison) add(columns []string, l line) {
	if len(c.tables) == 0 || !slices.Equal(c.tables[len(c.tables)-1].columns, columns) {
		c.tables = append(c.tables, &matrix{
			columns: columns,
			lines:   [][]string{slices.Concat([]string{"what"}, columns, []string{"brood is"})},
		})
	}
	what := l.what
	if l.note != "" {
		what += " (" + strconv.Itoa(c.note(l.note)) + ")"
	}
	cells := []string{what}
	for _, name := range columns {
		cells = append(cells, l.cell(name))
	}
	last := c.tables[len(c.tables)-1]
	last.lines = append(last.lines, append(cells, l.verdict(columns)))
}

// note numbers the notes, a repeated one as before.
func (c *comparison) note(text string) int {
	i := slices.Index(c.notes, text)
	if i < 0 {
		i = len(c.notes)
		c.notes = append(c.notes, text)
	}
	return i + 1
}

// cell is a peer's cell, with how many times brood's it is.
func (l line) cell(name string) string {
	c, ok := l.cells[name]
	if !ok {
		return "-"
	}
	brood := l.cells["brood"].amount
	if name == "brood" || math.IsNaN(c.amount) || math.IsNaN(brood) || brood == 0 {
		return c.text
	}
	return c.text + ", " + roughly(c.amount/brood)
}

// verdict tells how brood does beside the best of the others.
func (l line) verdict(columns []string) string {
	brood, ok := l.cells["brood"]
	if !ok || math.IsNaN(brood.amount) {
		return ""
	}
	best, least := "", math.Inf(1)
	for _, name := range columns {
		if c, ok := l.cells[name]; ok && name != "brood" && c.amount < least {
			best, least = name, c.amount
		}
	}
	switch {
	case best == "":
		return ""
	case brood.amount < least:
		return "the best"
	case brood.amount == least:
		return "as good as " + best
	case least == 0:
		return "**behind " + best + "**"
	}
	return "**behind: " + roughly(brood.amount/least) + " " + best + "**"
}

// roughly has no more digits than can mean something.
func roughly(ratio float64) string {
	if ratio >= 10 {
		return fmt.Sprintf("%.0fx", ratio)
	}
	return times(ratio)
}

func (c *comparison) show(out io.Writer) {
	for _, m := range c.tables {
		printTable(out, m.lines)
		fmt.Fprintln(out)
	}
	for i, note := range c.notes {
		fmt.Fprintf(out, "%d. %s\n", i+1, note)
	}
}
