package main

import (
	"fmt"
	"strconv"
)

func compareScrape(l *lab) ([]line, error) {
	raced, err := l.raceScrapes()
	if err != nil {
		return nil, err
	}
	n := strconv.Itoa(l.size.scraped) + " workers"
	lines := []line{{
		what: "a scrape, " + n,
		note: "By one client over a connection that stays open, without compression; brood with `--metrics-detail short`, process-exporter without threads and smaps, " +
			"its cheapest form, and with a group for each worker.",
		cells: map[string]cell{"brood": took(raced.brood)},
	}, {
		what: "a page, " + n, note: "How much is on it is not the same.",
		cells: map[string]cell{"brood": said(kilobytes(raced.size))},
	}, {
		what: "resident memory after these scrapes", note: "Brood's has brood in it, which keeps the workers.",
		cells: map[string]cell{"brood": {mebibytes(raced.resident.all), float64(raced.resident.all)}},
	}}
	other := []cell{said("- not installed"), said("- not installed"), said("- not installed")}
	if raced.exporter != nil {
		other = []cell{
			took(raced.exporter), said(kilobytes(raced.exporterSize)),
			{mebibytes(raced.exporterResides.all), float64(raced.exporterResides.all)},
		}
	}
	for i := range lines {
		lines[i].cells["process-exporter"] = other[i]
	}
	return lines, nil
}

func kilobytes(n int) string { return fmt.Sprintf("%d KB", n/1000) }
