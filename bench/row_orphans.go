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
	inits := map[string][]string{
		"C":    {l.c("init"), l.c("orphans"), shared, n},
		"tini": {l.peers["tini"], "-s", "--", l.c("orphans"), shared, n},
	}
	peer := "tini"
	if l.peers["tini"] == "" {
		peer = "C"
	}
	took := make(map[string]samples)
	for range max(1, l.size.runs/30) {
		pattern, err := l.pattern("orphans")
		if err != nil {
			return nil, err
		}
		inits["brood"] = []string{l.brood, "--pidfile", pattern, "-n1", "--", l.c("orphans"), shared, n}
		for _, name := range []string{"brood", peer} {
			if _, err := l.output(inits[name][0], inits[name][1:]...); err != nil {
				return nil, err
			}
			ns, err := sharedUint64(shared, offsetTook)
			if err != nil {
				return nil, err
			}
			took[name] = append(took[name], time.Duration(ns))
		}
	}
	ratio := took["brood"].over(took[peer])
	return []result{{
		brood: took["brood"].String(), peer: peer + " " + took[peer].String(),
		ratio: times(ratio), verdict: verdict(ratio <= 1.1),
	}}, nil
}
