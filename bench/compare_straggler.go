package main

import (
	"errors"
	"fmt"
	"time"
)

// compareStraggler stops each peer while there is a process that needs a moment,
// below a command that ends at once.
func compareStraggler(l *lab) ([]line, error) {
	some, others := able(l.peers(), canAll)
	cleaned := make(map[string]int)
	failed := byTurns(l.size.trials, some, func(p peer) error {
		done, err := l.straggle(p)
		if done {
			cleaned[p.name]++
		}
		return err
	})
	return []line{lineOf("a straggler that needs 0.3 s after TERM gets it",
		"The command leaves a daemon behind and ends at once when it is told. The peer is PID 1 of a namespace, as in a container, so what is left when it ends "+
			"is killed. It is asked to stop by TERM, runsvdir by HUP, and has the 10 s of docker stop. s6 and runit have scripts for the end, where one can wait; here there are none.",
		others, some, failed,
		func(p peer) cell { return said(fmt.Sprintf("%d of %d", cleaned[p.name], l.size.trials)) })}, joined(failed)
}

func (l *lab) straggle(p peer) (cleaned bool, err error) {
	shared, err := l.sharedFile()
	if err != nil {
		return false, err
	}
	r, err := l.beginFirst(p, shared, l.c("straggler"), shared)
	if err != nil {
		return false, err
	}
	if err := r.await(2); err != nil {
		return false, err
	}
	if err := r.cmd.Process.Signal(r.stop); err != nil {
		return false, errors.Join(err, r.end())
	}
	// One that stays longer than a container may is killed as a container is.
	_ = until(10*time.Second, func() (bool, error) { return r.hasEnded(), nil })
	if err := r.end(); err != nil {
		return false, err
	}
	done, err := sharedUint32(shared, offsetCleaned)
	return done == 1, err
}
