package main

import (
	"fmt"
	"strconv"
	"time"
)

const scrapesBefore = 100 // measuring memory

// measureMemory reads resident memory after scrapes, since a page of metrics is
// the largest thing that brood ever makes.
func measureMemory(l *lab) ([]result, error) {
	var all []result
	for _, of := range []struct{ workers, mebibytes int }{{32, 16}, {500, 24}} {
		res, err := l.memory(of.workers, of.mebibytes)
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	return all, nil
}

func (l *lab) memory(workers, bar int) (result, error) {
	res := result{
		what: "resident memory, " + strconv.Itoa(workers) + " workers, after " + strconv.Itoa(scrapesBefore) + " scrapes",
		bar:  "<= " + strconv.Itoa(bar) + " MiB",
	}
	r, err := l.begin(workers)
	if err != nil {
		return res, err
	}
	defer r.end()
	if err := l.sleep(1500 * time.Millisecond); err != nil {
		return res, err
	}
	before, err := resident(r.pid())
	if err != nil {
		return res, err
	}
	for range scrapesBefore {
		if _, err = l.scrape(l.address, true); err != nil {
			break
		}
	}
	if err != nil {
		res.brood, res.verdict = mebibytes(before)+" before scrapes", "no /metrics"
		return res, nil
	}
	after, err := resident(r.pid())
	if err != nil {
		return res, err
	}
	res.brood = mebibytes(after) + " (before: " + mebibytes(before) + ")"
	res.verdict = verdict(after <= bar*1024)
	return res, nil
}

// resident is a process's VmRSS in KiB.
func resident(pid int) (int, error) { return processField(pid, "VmRSS") }

func mebibytes(kib int) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }
