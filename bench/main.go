// Command bench measures brood side by side with the least that C can do and
// with other programs for the same purpose. It prints a table of the budgets that
// brood keeps, and one of what its peers make of the same works.
// docs/benchmarks.md and docs/comparison.md say what each row means.
//
//	go run ./bench                      all rows, at most 15 minutes
//	go run ./bench -write               puts them into docs/ as well
//	go run ./bench -quick               less of each, at most five minutes
//	go run ./bench -rows true,fanout    some of them
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
	quick  bool

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

	few      int           // runs of 32 workers under each peer
	many     int           // runs of the large fan-out under each
	adopted  int           // runs with orphans under each
	patience time.Duration // what each has for all orphans
	trials   int           // runs with a straggler under each
	settle   time.Duration // until each has what it does at the start behind it
}

func full() sizes {
	return sizes{
		atMost: 15 * time.Minute, runs: 400, small: 60, large: 20, workers: 500,
		adopting: 10, orphans: 20_000, idle: 10, scrapes: 40, scraped: 1000, exits: 20_000,
		few: 10, many: 5, adopted: 5, trials: 5, patience: 20 * time.Second, settle: 1200 * time.Millisecond,
	}
}

// quick has the same workers and orphans, since a ratio depends on them, but
// repeats less.
func quick() sizes {
	s := full()
	s.atMost, s.quick = 5*time.Minute, true
	s.runs, s.small, s.large, s.adopting, s.scrapes = 100, 20, 5, 3, 10
	s.idle, s.exits = 4, 4000
	s.few, s.many, s.adopted, s.trials, s.patience = 2, 1, 1, 2, 8*time.Second
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
	only := flags.String("rows", "", "the rows to measure, separated by commas: "+strings.Join(names(), ", "))
	binary := flags.String("brood", "", "measure this binary instead of building one")
	less := flags.Bool("quick", false, "repeat less, for five minutes at most")
	write := flags.Bool("write", false, "put all rows into docs/, whose parent is the current directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *write && *only != "" {
		return errors.New("cannot write some rows: the pages have all of them")
	}
	wanted, err := selectRows(*only)
	if err != nil {
		return err
	}
	size := full()
	if *less {
		size = quick()
	}
	r, err := measure(ctx, *binary, wanted, size)
	if r != nil {
		r.show(out)
	}
	if err != nil || !*write {
		return err
	}
	return r.write("docs")
}

// selection is what is measured: rows of budgets, and works of the comparison.
type selection struct {
	rows  []row
	works []work
}

func names() (all []string) {
	for _, r := range rows() {
		all = append(all, r.name)
	}
	for _, w := range works() {
		all = append(all, w.name)
	}
	return all
}

func selectRows(only string) (selection, error) {
	if only == "" {
		return selection{rows(), works()}, nil
	}
	var wanted selection
	for name := range strings.SplitSeq(only, ",") {
		if !slices.Contains(names(), name) {
			return wanted, fmt.Errorf("cannot measure %q: the rows are %s", name, strings.Join(names(), ", "))
		}
		for _, r := range rows() {
			if r.name == name {
				wanted.rows = append(wanted.rows, r)
			}
		}
		for _, w := range works() {
			if w.name == name {
				wanted.works = append(wanted.works, w)
			}
		}
	}
	return wanted, nil
}
