// Queue works through a directory of jobs with several processes, one of which
// leads:
//
//	queue -n4 -- /var/spool/jobs
//
// A job is a file in new/. Whoever renames it into work/ has it, and moves it to
// done/ when it is finished: a rename happens once, whoever else tries. A worker
// that dies leaves its jobs in work/, in a directory of its slot, and the slot's next
// process goes on with them.
//
// Things that must not be done twice at a time are the leader's: here it says
// how much is left. At most one process leads, over all restarts and reloads.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/brood-init/brood/service"
	"github.com/brood-init/brood/service/early"
)

func main() {
	os.Exit(service.Run(service.Service{
		MainLoop: work,
		Signals:  early.Signals(),
	}))
}

// idle is how long a worker waits when there is nothing to do.
const idle = 200 * time.Millisecond

func work(ctx context.Context, w service.Worker) error {
	if len(w.Args) != 1 {
		return errors.New("name the directory of jobs: queue -- DIRECTORY")
	}
	q := queue{dir: w.Args[0], slot: strconv.Itoa(w.Slot)}
	if err := q.open(); err != nil {
		return err
	}
	if w.Leader {
		go q.report(ctx)
	}
	for ctx.Err() == nil {
		job, err := q.take()
		switch {
		case err != nil:
			return err
		case job == "":
			wait(ctx, idle)
		default:
			// Not under ctx: a job that was begun is finished before the end.
			if err := q.do(job); err != nil {
				return err
			}
		}
	}
	return nil
}

type queue struct{ dir, slot string }

func (q queue) path(parts ...string) string {
	return filepath.Join(append([]string{q.dir}, parts...)...)
}

func (q queue) open() error {
	for _, dir := range []string{q.path("new"), q.path("work", q.slot), q.path("done")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cannot open the queue: %w", err)
		}
	}
	return nil
}

// take returns a job that is this worker's now, or "" when there is none. What a
// process of the slot has left comes first.
func (q queue) take() (job string, err error) {
	for _, dir := range []string{q.path("work", q.slot), q.path("new")} {
		files, err := os.ReadDir(dir)
		if err != nil {
			return "", fmt.Errorf("cannot look for jobs: %w", err)
		}
		for _, file := range files {
			mine := q.path("work", q.slot, file.Name())
			err := os.Rename(filepath.Join(dir, file.Name()), mine)
			switch {
			case err == nil:
				return mine, nil
			case errors.Is(err, fs.ErrNotExist): // somebody was faster
			default:
				return "", fmt.Errorf("cannot take a job: %w", err)
			}
		}
	}
	return "", nil
}

// do is where the work would be: here a line is added.
func (q queue) do(job string) error {
	file, err := os.OpenFile(job, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot begin %q: %w", job, err)
	}
	_, err = fmt.Fprintf(file, "done by slot %s\n", q.slot)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cannot finish %q: %w", job, err)
	}
	return os.Rename(job, q.path("done", filepath.Base(job)))
}

// report is for the leader alone.
func (q queue) report(ctx context.Context) {
	for ctx.Err() == nil {
		if files, err := os.ReadDir(q.path("new")); err == nil {
			// Nobody hears it without --ready notify; brood status shows it.
			_ = service.Notify(fmt.Sprintf("STATUS=leads, %d jobs wait", len(files)))
		}
		wait(ctx, time.Second)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
