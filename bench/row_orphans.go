package main

import (
	"strconv"
	"time"
)

// measureOrphans lets a service make orphans as fast as it can, and takes the
// time until the last one is gone from the process table. How long the init
// itself takes to start is not in it.
func measureOrphans(l *lab) ([]result, error) {
	other := l.peer("tini")
	if other.program == "" {
		other = l.floor("init")
	}
	took, used := make(map[string]samples), make(map[string]samples)
	failed := byTurns(l.size.adopting, []peer{l.broodPeer(), other}, func(p peer) error {
		shared, err := l.sharedFile()
		if err != nil {
			return err
		}
		how, err := l.prepare(p, 1, l.c("orphans"), shared, strconv.Itoa(l.size.orphans), "0")
		if err != nil {
			return err
		}
		if _, err := l.output(how.argv[0], how.argv[1:]...); err != nil {
			return err
		}
		return readOrphans(p, shared, took, used)
	})
	if len(failed) > 0 {
		return nil, joined(failed)
	}
	brood, peer := took["brood"], took[other.name]
	ratio := brood.over(peer)
	return []result{{
		brood: brood.String(), peer: other.name + " " + peer.String(),
		ratio: times(ratio), verdict: verdict(ratio <= 1.1),
	}, {
		what:  "CPU time of the init for them",
		brood: used["brood"].String(), peer: other.name + " " + used[other.name].String(),
		ratio: times(used["brood"].over(used[other.name])),
	}}, nil
}

// readOrphans reads what the maker of orphans has written: how long they all
// took, and what the init used for them.
func readOrphans(p peer, shared string, took, used map[string]samples) error {
	for offset, to := range map[int]map[string]samples{offsetTook: took, offsetInitUsed: used} {
		ns, err := sharedUint64(shared, offset)
		if err != nil {
			return err
		}
		to[p.name] = append(to[p.name], time.Duration(ns))
	}
	return nil
}
