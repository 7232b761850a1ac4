package main

import "strconv"

// compareFanout lets the workers settle before the stop: brood calls them ready
// after one second, and supervisord started.
func compareFanout(l *lab) ([]line, error) {
	var lines []line
	for _, of := range []struct{ workers, runs int }{{32, l.size.few}, {l.size.workers, l.size.many}} {
		some, others := able(l.peers(), cannotRun(of.workers))
		raised, failed := l.raise(of.workers, of.runs, l.size.settle, some...)
		n := strconv.Itoa(of.workers)
		lines = append(lines,
			lineOf(n+" workers running",
				"From vfork until the last worker has reached its `main`, with brood also until its last PID file is there. s6-svscan and runsvdir have a directory for each worker, "+
					"on tmpfs, whose `run` is no shell script but `#!worker FILE`; supervisord has one program with `numprocs`, no logs, and `minfds` for its pipes.",
				others, some, failed, func(p peer) cell { return took(raised[p.name].up) }),
			lineOf("last of "+n+" workers has its SIGTERM",
				"From the request to stop, which is TERM, and HUP for runsvdir, since TERM ends that alone. The workers wait until all of them have had theirs.",
				others, some, failed, func(p peer) cell { return took(raised[p.name].told) }),
			lineOf("all processes gone, "+n+" workers",
				"From the same request until neither a worker nor any process of the peer is left. The workers end once all of them have been told.",
				others, some, failed, func(p peer) cell { return took(raised[p.name].gone) }),
		)
		if len(failed) > 0 {
			return lines, joined(failed)
		}
	}
	return lines, nil
}
