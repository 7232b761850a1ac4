// Package scraping asks workers for their own pages of metrics, when somebody asks
// brood for its page, and merges what they answer.
//
//	request ──Collect──> round ──> worker 1 ─┐
//	request ──Collect──┘   │  └──> worker 2 ─┴─> merge.Append ──> Collection
//	                       └ shared by all that want the same at the same time
//
// A worker may be slow, dead, hostile or something else altogether, and the
// process that asks is PID 1. So everything is bounded: the time for one worker
// and for a round, the bytes of an answer, of all answers together, and of what
// a compressed one becomes, the samples, the workers that are asked at once. No
// redirect is followed, no proxy used, no cookie kept. What goes wrong with one
// worker costs its own series in this round, is counted by its reason, and
// nothing else: there is no old page that could stand in for it, since a figure
// that stands still looks like a worker that does nothing.
//
// Connections are kept for the next round, and dropped when another process is
// in the worker's slot.
package scraping
