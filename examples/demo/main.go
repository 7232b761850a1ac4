// Demo shows brood at work: three workers of examples/web on one port, requests
// that they answer, a worker that is killed and replaced, and the stop.
//
//	demo bin/brood bin/web
//
// On a terminal it lasts until Ctrl-C; without one it ends by itself.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	workers  = 3
	victim   = 2 // the slot whose worker is killed
	shown    = 6 // requests that are printed one by one
	patience = 5 * time.Second
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: demo BROOD WEB")
		os.Exit(2)
	}
	if err := demo(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo tells the story. However it ends, no brood and no file is left.
func demo(brood, web string) (err error) {
	dir, err := os.MkdirTemp("", "brood-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	port, err := freePort()
	if err != nil {
		return err
	}
	title(fmt.Sprintf("brood starts %d workers of a web service", workers))
	b, err := start(dir, port, brood, "-n", strconv.Itoa(workers), "--pidfile", dir+"/web.pid", "--", web)
	if err != nil {
		return err
	}
	for _, chapter := range []func() error{b.requests, b.pidFiles, b.killOne, b.askToStop} {
		b.pause()
		if b.hasEnded() {
			break // an early Ctrl-C
		}
		if err = chapter(); err != nil {
			break
		}
	}
	return errors.Join(err, b.end())
}

// requests asks until each worker has answered.
func (b *running) requests() error {
	title("Requests to its port: the kernel deals them out")
	answers := make(map[string]int)
	total := 0
	err := b.within(patience, func() (done bool, err error) {
		got, err := b.get()
		if err != nil {
			return false, err // nobody is listening yet
		}
		if total < shown {
			b.print(got)
		}
		answers[got.slot]++
		total++
		return len(answers) == workers && total >= shown, nil
	})
	var sums []string
	for slot := 1; slot <= workers; slot++ {
		sums = append(sums, fmt.Sprintf("%d by slot %d", answers[strconv.Itoa(slot)], slot))
	}
	fmt.Printf("  %d requests: %s\n", total, strings.Join(sums, ", "))
	return err
}

func (b *running) pidFiles() error {
	title("PID files: one for each worker, and brood's own")
	return b.list()
}

// killOne is a crash: the successor has the slot, and a PID of its own.
func (b *running) killOne() error {
	title("A worker dies, and another one takes its slot")
	pid, err := b.workerPID(victim)
	if err != nil {
		return err
	}
	fmt.Printf("  $ kill -9 %s\n", pid)
	if err := kill(pid); err != nil {
		return err
	}
	return b.within(patience, func() (done bool, err error) {
		got, err := b.get()
		if err != nil || got.slot != strconv.Itoa(victim) || got.pid == pid {
			return false, err
		}
		b.print(got)
		return true, nil
	})
}

// askToStop leaves that to whoever sits at a terminal.
func (b *running) askToStop() error {
	if !b.terminal {
		title("brood is asked to stop")
		return b.interrupt()
	}
	title("Your turn")
	fmt.Printf("  curl %s\n  curl '%sexit?code=3'\n  Press Ctrl-C to stop.\n", b.url, b.url)
	b.wait()
	return nil
}

func title(words string) { fmt.Printf("\n# %s\n", words) }
