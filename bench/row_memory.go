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
			return all, err
		}
		all = append(all, res)
	}
	return all, nil
}

// memory scrapes as Prometheus does, by gzip, which takes memory of its own.
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
		if _, err := l.scrape(r.address, "gzip"); err != nil {
			return res, err
		}
	}
	after, err := resident(r.pid())
	if err != nil {
		return res, err
	}
	res.brood = fmt.Sprintf("%s, of which code and other files %s; before %s", mebibytes(after.all), mebibytes(after.file), mebibytes(before.all))
	res.verdict = verdict(after.all <= bar*1024)
	return res, nil
}

// residence is in KiB.
type residence struct{ all, file int }

func resident(pid int) (residence, error) {
	all, err := statusField(pid, "VmRSS")
	if err != nil {
		return residence{}, err
	}
	file, err := statusField(pid, "RssFile")
	return residence{all, file}, err
}

func mebibytes(kib int) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }
