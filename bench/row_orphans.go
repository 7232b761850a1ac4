package main

import (
	"strconv"
	"time"
)

// measureOrphans lets a service make orphans as fast as it can, and takes the
// time until the last one is gone from the process table. How long the init
// itself takes to start is not in it.
func measureOrphans(l *lab) ([]result, error) {
	shared, n := l.shared("orphans"), strconv.Itoa(l.size.orphans)
	peer, peerArgs := "tini", []string{l.peers["tini"], "-s", "--", l.c("orphans"), shared, n}
	if l.peers["tini"] == "" {
		peer, peerArgs = "C", []string{l.c("init"), l.c("orphans"), shared, n}
	}
	took, used := make(map[string]samples), make(map[string]samples)
	once := func(name string, argv ...string) error {
		if _, err := l.output(argv[0], argv[1:]...); err != nil {
			return err
		}
		for offset, to := range map[int]map[string]samples{offsetTook: took, offsetInitUsed: used} {
			ns, err := sharedUint64(shared, offset)
			if err != nil {
				return err
			}
			to[name] = append(to[name], time.Duration(ns))
		}
		return nil
	}
	for range l.size.adopting {
		pattern, err := l.pattern("orphans")
		if err != nil {
			return nil, err
		}
		if err := once("brood", l.brood, "--pidfile", pattern, "-n1", "--", l.c("orphans"), shared, n); err != nil {
			return nil, err
		}
		if err := once(peer, peerArgs...); err != nil {
			return nil, err
		}
	}
	ratio := took["brood"].over(took[peer])
	return []result{{
		brood: took["brood"].String(), peer: peer + " " + took[peer].String(),
		ratio: times(ratio), verdict: verdict(ratio <= 1.1),
	}, {
		what:  "CPU time of the init for them",
		brood: used["brood"].String(), peer: peer + " " + used[peer].String(),
		ratio: times(used["brood"].over(used[peer])),
	}}, nil
}
