package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// compareKept watches all peers that can keep so many workers in the same
// seconds.
func compareKept(l *lab) ([]line, error) {
	var lines []line
	for _, n := range []int{1, 32, l.size.workers} {
		some, others := able(l.peers(), cannotRun(n))
		costs, err := l.costs(n, some)
		if err != nil {
			return lines, err
		}
		workers := strconv.Itoa(n) + " workers"
		if n == 1 {
			workers = "one worker"
		}
		lines = append(lines,
			lineOf("memory, "+workers,
				"Of the peer and all its processes beside the workers: proportional (PSS, which shares what several processes have in common among them), and in brackets the sum of what is resident. Brood has not been scraped.",
				others, some, nil, func(p peer) cell { return costs[p.name].memory() }),
			lineOf("processes it adds, "+workers, "", others, some, nil, func(p peer) cell { return number(costs[p.name].processes) }),
			lineOf("threads of these, "+workers, "", others, some, nil, func(p peer) cell { return number(costs[p.name].threads) }),
			lineOf("wake-ups a second, "+workers,
				"Context switches, voluntary or not, of all threads of the same processes.",
				others, some, nil, func(p peer) cell { return costs[p.name].wakeups(l.size.idle) }),
		)
	}
	return lines, nil
}

// cost is what a peer needs beside its workers.
type cost struct {
	processes, threads, woken int
	pss, rss                  int // KiB
}

func (c cost) memory() cell {
	return cell{fmt.Sprintf("%s (%s)", mebibytes(c.pss), mebibytes(c.rss)), float64(c.pss)}
}

func number(n int) cell { return cell{strconv.Itoa(n), float64(n)} }

func (c cost) wakeups(seconds int) cell {
	return cell{fmt.Sprintf("%.1f", float64(c.woken)/float64(seconds)), float64(c.woken)}
}

// costs keeps n workers under each peer and measures after they have settled.
func (l *lab) costs(n int, among []peer) (costs map[string]cost, err error) {
	var pids []int
	var owners []string
	for _, p := range among {
		r, err := l.keep(p, n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		defer func() { err = errors.Join(err, r.end()) }()
		for _, pid := range l.overhead(r) {
			pids, owners = append(pids, pid), append(owners, p.name)
		}
	}
	if err := l.sleep(3 * l.size.settle); err != nil {
		return nil, err
	}
	woken, err := l.wakeups(time.Duration(l.size.idle)*time.Second, pids...)
	if err != nil {
		return nil, err
	}
	costs = make(map[string]cost)
	for i, pid := range pids {
		c := costs[owners[i]]
		c.processes++
		c.woken += woken[i]
		if err := c.add(pid); err != nil {
			return nil, err
		}
		costs[owners[i]] = c
	}
	return costs, nil
}

// overhead lists a peer's processes that are no workers.
func (l *lab) overhead(r *running) []int {
	pids := []int{r.pid()}
	for _, pid := range descendants(r.pid()) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe != l.c("worker") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// add counts in a process.
func (c *cost) add(pid int) error {
	threads, err := statusField(pid, "Threads")
	if err != nil {
		return err
	}
	rss, err := statusField(pid, "VmRSS")
	if err != nil {
		return err
	}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return err
	}
	pss, err := parseStatus(string(rollup), "Pss")
	c.threads, c.rss, c.pss = c.threads+threads, c.rss+rss, c.pss+pss
	return err
}
