package main

import "strconv"

// row is one budget.
type row struct {
	name    string
	what    func(sizes) string // nil: about says all
	about   string
	bar     string
	measure func(*lab) ([]result, error)
}

func (r row) title(s sizes) string {
	if r.what != nil {
		return r.what(s)
	}
	return r.about
}

// result is what a row has measured, as text for the table. A row may have
// several: what comes after the first says what it is and has a bar of its own,
// or none and is for comparison.
type result struct {
	what    string // instead of the row's title and bar
	bar     string
	brood   string
	peer    string
	ratio   string
	verdict string
}

// rows lists the budgets in the order of the table.
func rows() []row {
	return []row{
		{name: "true", about: "`brood -n1 -- /bin/true`, whole process", bar: "<= 3x tini", measure: measureTrue},
		{name: "small", about: "32 workers running, PID files on tmpfs", bar: "<= C + 6 ms", measure: measureSmall},
		{name: "large", what: func(s sizes) string {
			return strconv.Itoa(s.workers) + " workers running, PID files on tmpfs"
		}, bar: "<= 1.15x C", measure: measureLarge},
		{name: "orphans", what: func(s sizes) string {
			return strconv.Itoa(s.orphans) + " orphans reaped under load"
		}, bar: "<= 1.1x tini", measure: measureOrphans},
		{name: "idle", about: "wake-ups a second when idle, `-n4`", bar: "0", measure: measureIdle},
		{name: "memory", about: "resident memory after 100 scrapes", measure: measureMemory},
		{name: "scrape", what: func(s sizes) string {
			return "a scrape of " + strconv.Itoa(s.scraped) + " workers, short set"
		}, bar: "<= 25 ms", measure: measureScrape},
		{name: "pages", about: "workers' own pages as one", measure: measurePages},
		{name: "size", about: "static binary, stripped", bar: "<= 12 MB", measure: measureSize},
		{name: "exits", what: func(s sizes) string {
			return "exit codes lost in " + strconv.Itoa(s.exits) + " exits"
		}, bar: "0", measure: measureExits},
	}
}
