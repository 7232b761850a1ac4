// Package metrics exports what brood knows about its workers, and about itself,
// to Prometheus.
//
// # Where figures come from
//
//	engine ──events──────> Table ─────┐
//	engine ──Snapshot─────────────────┼─> Gatherer ──> Handler ──> client
//	/proc and the control group ──────┘
//
// A Table is a fold: the engine tells it of every event before its next
// decision, and it keeps counters per slot in memory. A Gatherer adds, at scrape
// time, what /proc says of the processes that live. Neither ever waits for the
// other: records are replaced, never changed, and a scrape reads whichever it
// finds.
//
// # Counters never go backwards
//
// A worker's series are labelled with its slot, which outlives the process, and
// never with a PID: a new series for each restart would be a series that nobody
// can add up. So
//
//	counter = the final figures of the slot's ended processes
//	        + the highest figures seen of those that live
//
// The final figures are the zombie's, read before it was reaped, and travel in
// its exit event. Between the exit and that event /proc has nothing more to say,
// or something about a stranger who got the number: a reading counts only if
// the start time is the one that was seen first and the parent is brood. A
// reading that comes too late, when the event has been folded, changes nothing.
// So each value is at least as high as any that was served before, whatever
// happens in between.
//
// # What is not there
//
// A gauge of a slot without a process is absent, not 0, and so is a figure that
// could not be read: brood_proc_read_errors_total tells of that once for each
// process. Label values that form an enumeration are all there from the start,
// since an increase from nothing is invisible to rate and increase.
//
// # Costs
//
// Metrics are made once and used again for every scrape, so a scrape allocates
// next to nothing. They may be read until the gatherer's done is called, which
// is why the Handler encodes into memory first: a slow client holds its own
// page, and nobody else up.
package metrics
