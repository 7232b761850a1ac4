package main

import (
	"fmt"
	"strings"
)

// allocated sums up, from lines of GODEBUG=gctrace=1, what was allocated between
// the beginnings of the first and the last collection, in MiB. Each line has
// "A->B->C MB": the heap when the collection began, when it ended, and what of
// it was kept. What was allocated during a collection is kept by it, so it is in
// C as well as in B. The numbers are whole MiB: only many lines tell something.
func allocated(trace string) (mebibytes float64, collections int) {
	var during, kept float64
	for line := range strings.Lines(trace) {
		_, heap, ok := strings.Cut(line, " ms cpu, ")
		if !ok || !strings.HasPrefix(line, "gc ") {
			continue
		}
		var began, ended, live float64
		if n, _ := fmt.Sscanf(heap, "%f->%f->%f MB", &began, &ended, &live); n != 3 {
			continue
		}
		if collections > 0 {
			mebibytes += during + began - kept
		}
		during, kept = ended-began, live
		collections++
	}
	return mebibytes, collections
}
