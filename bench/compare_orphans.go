package main

import (
	"errors"
	"fmt"
	"strconv"
)

func compareOrphans(l *lab) ([]line, error) {
	some, others := able(l.peers(), canAll)
	reaped, used := make(map[string]samples), make(map[string]samples)
	late := make(map[string]cell)
	failed := byTurns(l.size.adopted, some, func(p peer) error {
		if _, known := late[p.name]; known {
			return nil
		}
		left, err := l.adopt(p, reaped, used)
		if left > 0 {
			late[p.name] = said(fmt.Sprintf("- %d left after %s", left, l.size.patience))
		}
		return err
	})
	of := func(all map[string]samples) func(peer) cell {
		return func(p peer) cell {
			if c, ok := late[p.name]; ok {
				return c
			}
			return took(all[p.name])
		}
	}
	return []line{
		lineOf(strconv.Itoa(l.size.orphans)+" orphans reaped under load",
			"A service forks them a hundred at a time, as fast as it can, under the peer as PID 1 of a namespace. The time ends when none is left, "+
				"not even as a zombie. Most of it is the service's forking. supervisord reaps a hundred at most each time it looks, which is once a second if nothing else happens.",
			others, some, failed, of(reaped)),
		lineOf("CPU time of PID 1 for them", "", others, some, failed, of(used)),
	}, joined(failed)
}

// adopt lets a peer reap orphans, or tells how many it has left when the time was
// over.
func (l *lab) adopt(p peer, reaped, used map[string]samples) (left int, err error) {
	shared, err := l.sharedFile()
	if err != nil {
		return 0, err
	}
	r, err := l.beginFirst(p, shared, l.c("orphans"), shared, strconv.Itoa(l.size.orphans), "1")
	if err != nil {
		return 0, err
	}
	defer r.end()
	err = until(l.size.patience, func() (bool, error) {
		done, err := sharedUint64(shared, offsetInitUsed)
		if done == 0 && r.hasEnded() {
			err = errors.New("it has ended: " + r.saying())
		}
		return done > 0 || l.ctx.Err() != nil, err
	})
	if errors.Is(err, errNotSo) {
		return zombies(r.pid())
	}
	if err != nil {
		return 0, err
	}
	return 0, readOrphans(p, shared, reaped, used)
}
