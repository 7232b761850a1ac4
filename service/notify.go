package service

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/brood-init/brood/internal/notify"
)

// Ready says that this worker is ready, for --ready notify. Without it a worker
// is ready when it has been alive for a second.
func Ready() error { return Notify("READY=1") }

// Notify says how this worker is, by assignments of sd_notify(3): STATUS=text,
// STOPPING=1, RELOADING=1, EXTEND_TIMEOUT_USEC=n. It is no error when nobody
// wants to know, which is without --ready notify and --watchdog.
func Notify(assignments ...string) error {
	return notify.Send(os.Getenv("NOTIFY_SOCKET"), strings.Join(assignments, "\n"))
}

// Watchdog says for this worker that it still does its work, twice in each
// --watchdog time, until ctx ends or healthy returns an error, which is
// returned: a worker of whom nothing is heard gets SIGABRT, then SIGKILL.
// healthy should ask what does the work, and gives up when its ctx ends; nil
// only shows that goroutines run. Without --watchdog nothing is asked.
//
//	go service.Watchdog(ctx, queue.Ping)
func Watchdog(ctx context.Context, healthy func(ctx context.Context) error) error {
	period := notify.Period(os.Getenv, os.Getpid())
	if period == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		if err := beat(ctx, period, healthy); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func beat(ctx context.Context, within time.Duration, healthy func(ctx context.Context) error) error {
	if healthy != nil {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		if err := healthy(ctx); err != nil {
			return err
		}
	}
	return Notify("WATCHDOG=1")
}
