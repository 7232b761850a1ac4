package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/brood-init/brood/internal/docpart"
)

// report is what was measured, and on what.
type report struct {
	budgets table
	others  comparison
	machine string
	failed  []string
}

// measure makes the tables of the wanted rows. A budget that is missed is no
// error; a row that cannot be measured is one, and in the report as well.
func measure(ctx context.Context, binary string, wanted selection, size sizes) (*report, error) {
	bounded, cancel := context.WithTimeout(ctx, size.atMost)
	defer cancel()
	l, err := openLab(bounded, binary, size)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if missing := l.missing(); len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "bench: not installed, rows go without: %s\n", strings.Join(missing, ", "))
	}
	r := &report{machine: l.machine()}
	for _, row := range wanted.rows {
		if r.keepTo(l, row); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	for _, w := range wanted.works {
		if r.compare(l, w); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if len(r.failed) > 0 {
		return r, errors.New("cannot measure " + strings.Join(r.failed, ", "))
	}
	return r, nil
}

// keepTo measures a budget. One that cannot be measured is a line, not the end.
func (r *report) keepTo(l *lab, budget row) {
	fmt.Fprintf(os.Stderr, "bench: %s\n", budget.title(l.size))
	results, err := budget.measure(l)
	if err != nil {
		results = append(results, result{verdict: "failed: " + oneLine(err.Error())})
		r.failed = append(r.failed, budget.name)
	}
	for _, res := range results {
		r.budgets.add(budget, l.size, res)
	}
}

// compare measures a work under all peers.
func (r *report) compare(l *lab, w work) {
	fmt.Fprintf(os.Stderr, "bench: %s\n", w.about)
	lines, err := w.compare(l)
	if err != nil {
		lines = append(lines, line{what: w.about + ": failed: " + oneLine(err.Error())})
		r.failed = append(r.failed, w.name)
	}
	columns := w.columns
	if columns == nil {
		for _, p := range l.peers() {
			columns = append(columns, p.name)
		}
	}
	for _, each := range lines {
		r.others.add(columns, each)
	}
}

func (r *report) show(out io.Writer) {
	if len(r.budgets.lines) > 0 {
		r.printBudgets(out)
		fmt.Fprintln(out)
	}
	if len(r.others.tables) > 0 {
		r.printComparison(out)
	}
}

func (r *report) printBudgets(out io.Writer) {
	fmt.Fprintf(out, "Times are the minimum, and in brackets the median, of interleaved runs. %s\n\n", r.machine)
	r.budgets.show(out)
}

func (r *report) printComparison(out io.Writer) {
	fmt.Fprintf(out, "Times are the minimum, and in brackets the median, of interleaved runs; behind them, how many times brood's they are, by the minima. %s\n\n", r.machine)
	r.others.show(out)
}

const (
	begin = "<!-- results: made by make bench BENCHFLAGS=-write -->\n"
	end   = "<!-- results: end -->\n"
)

// write puts the tables into the pages about them.
func (r *report) write(docs string) error {
	for name, show := range map[string]func(io.Writer){"benchmarks.md": r.printBudgets, "comparison.md": r.printComparison} {
		var part bytes.Buffer
		show(&part)
		path := filepath.Join(docs, name)
		page, err := docpart.Replaced(path, begin, end, part.Bytes())
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, page, 0o644); err != nil {
			return err
		}
	}
	return nil
}
