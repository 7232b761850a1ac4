// Command bench measures brood side by side with the least that C can do and
// with other inits, in one run, and prints a table of the budgets that brood
// keeps: docs/benchmarks.md says what each row means.
//
//	go run ./bench                      all rows, about two minutes
//	go run ./bench -rows true,stop      some of them
//	go run ./bench -brood ./brood.old   another binary
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// sizes are how much each row does. The budgets hold for the defaults.
type sizes struct {
	runs    int // of each short row; longer ones take a part of it
	workers int // of the large fan-out
	orphans int
	exits   int
	scraped int // workers behind one scrape
	idle    int // seconds
}

func main() {
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	release()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var size sizes
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("rows", "", "the rows to measure, separated by commas: "+strings.Join(rowNames(), ", "))
	binary := flags.String("brood", "", "measure this binary instead of building one")
	flags.IntVar(&size.runs, "runs", 100, "runs of the shortest row")
	flags.IntVar(&size.workers, "workers", 500, "workers of the large fan-out")
	flags.IntVar(&size.orphans, "orphans", 20_000, "orphans to reap")
	flags.IntVar(&size.exits, "exits", 20_000, "exit codes to tell")
	flags.IntVar(&size.scraped, "scraped", 1000, "workers behind one scrape")
	flags.IntVar(&size.idle, "idle", 10, "seconds to count wake-ups in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := selectRows(*only)
	if err != nil {
		return err
	}
	l, err := openLab(ctx, *binary, size)
	if err != nil {
		return err
	}
	defer l.close()
	if missing := l.missing(); len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "bench: not installed, rows go without: %s\n", strings.Join(missing, ", "))
	}
	t := newTable(out)
	for _, r := range wanted {
		fmt.Fprintf(os.Stderr, "bench: %s\n", r.title(size))
		results, err := r.measure(l)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			// One row that cannot be measured is a line, not the end.
			results = []result{{verdict: "failed: " + oneLine(err.Error())}}
		}
		for _, res := range results {
			t.add(r, size, res)
		}
	}
	t.print(l.machine())
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
