// Load asks a URL many times a second, each time over a new connection, until it
// gets TERM. It says each failure at once, and at the end how many there were:
//
//	load http://web/ 50
//	12:00:01.123 failed: connection refused
//	asked=1000 failed=1
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is far more than an answer takes: what fails here is a connection
// that was refused, reset or lost.
const patience = 10 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("want a URL and how often to ask in a second")
	}
	rate, err := strconv.Atoi(args[1])
	if err != nil || rate < 1 || rate > 1000 {
		return fmt.Errorf("cannot ask %q times a second: want 1 to 1000", args[1])
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	var asked, failed atomic.Int64
	var running sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			running.Go(func() {
				asked.Add(1)
				if err := ask(client, args[0]); err != nil {
					failed.Add(1)
					fmt.Printf("%s failed: %v\n", time.Now().UTC().Format("15:04:05.000"), err)
				}
			})
		case <-ctx.Done():
		}
	}
	running.Wait()
	fmt.Printf("asked=%d failed=%d\n", asked.Load(), failed.Load())
	return nil
}

func ask(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
