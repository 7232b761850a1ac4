// Command bench measures brood side by side with the least that C can do and
// with other programs for the same purpose, and prints a table of the budgets
// that brood keeps. docs/benchmarks.md says what each row means.
//
//	go run ./bench                      all rows, at most ten minutes
//	go run ./bench -quick               less of each, at most two minutes
//	go run ./bench -rows true,stop      some of them
//	go run ./bench -brood ./brood.old   another binary
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sizes are how much each row does. The budgets hold for the full ones.
type sizes struct {
	atMost time.Duration // for all rows together

	runs     int // of /bin/true by turns with its peers
	small    int // runs of 32 workers
	large    int // runs of the large fan-out and its stop
	workers  int // of the large fan-out
	adopting int // runs with orphans
	orphans  int
	idle     int // seconds
	scrapes  int // by turns with process-exporter
	scraped  int // workers behind one scrape
	exits    int
}

func full() sizes {
	return sizes{
		atMost: 10 * time.Minute, runs: 400, small: 60, large: 20, workers: 500,
		adopting: 10, orphans: 20_000, idle: 10, scrapes: 40, scraped: 1000, exits: 20_000,
	}
}

// quick has the same workers and orphans, since a ratio depends on them, but
// repeats less.
func quick() sizes {
	s := full()
	s.atMost = 2 * time.Minute
	s.runs, s.small, s.large, s.adopting, s.scrapes = 100, 20, 5, 3, 10
	s.idle, s.exits = 4, 4000
	return s
}

func main() {
	if served, err := servesPage(os.Args); served {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	release()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("rows", "", "the rows to measure, separated by commas: "+strings.Join(rowNames(), ", "))
	binary := flags.String("brood", "", "measure this binary instead of building one")
	less := flags.Bool("quick", false, "repeat less, for two minutes at most")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := selectRows(*only)
	if err != nil {
		return err
	}
	size := full()
	if *less {
		size = quick()
	}
	return measure(ctx, *binary, wanted, size, out)
}

// measure prints the table of the wanted rows. A budget that is missed is no
// error; a row that cannot be measured is one.
func measure(ctx context.Context, binary string, wanted []row, size sizes, out io.Writer) error {
	bounded, cancel := context.WithTimeout(ctx, size.atMost)
	defer cancel()
	l, err := openLab(bounded, binary, size)
	if err != nil {
		return err
	}
	defer l.close()
	if missing := l.missing(); len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "bench: not installed, rows go without: %s\n", strings.Join(missing, ", "))
	}
	t := newTable(out)
	var failed []string
	for _, r := range wanted {
		fmt.Fprintf(os.Stderr, "bench: %s\n", r.title(size))
		results, err := r.measure(l)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// One row that cannot be measured is a line, not the end.
			results = append(results, result{verdict: "failed: " + oneLine(err.Error())})
			failed = append(failed, r.name)
		}
		for _, res := range results {
			t.add(r, size, res)
		}
	}
	t.print(l.machine())
	if len(failed) > 0 {
		return fmt.Errorf("cannot measure %s", strings.Join(failed, ", "))
	}
	return nil
}

func selectRows(only string) ([]row, error) {
	if only == "" {
		return rows(), nil
	}
	var wanted []row
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(rows(), func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("cannot measure %q: the rows are %s", name, strings.Join(rowNames(), ", "))
		}
		wanted = append(wanted, rows()[i])
	}
	return wanted, nil
}
