// Package output carries workers' stdout and stderr to brood's own, line by
// line, each line marked with the worker's slot.
//
//	worker ──pipe──> source ──┐
//	worker ──pipe──> source ──┼──> sink: bounded queue ──> writer ──> stdout
//	worker ──pipe──> source ──┘
//
// A source is a goroutine that reads one pipe through the runtime's poller; it
// takes no thread. A sink is a queue and the one goroutine that writes what is
// in it. stdout stays stdout and stderr stays stderr; when both are the same
// file they share a sink, so that lines of one never end up inside of the other's.
//
// # Lines
//
// A line goes out as a whole, in one piece with its mark. It is cut only where
// it must be: after 64 KiB, and when a prompt or a progress report, text without
// a newline, has stood for half a second. What follows is told as the
// continuation:
//
//	[3] Continue?                                   {..., "line":"Continue? ","partial":true}
//	[3+] yes                                        {..., "line":"yes"}
//
// # A slow reader
//
// A worker never waits long for whoever reads brood's output, and brood never
// waits at all. When a queue is full, a source lets its pipe fill for a moment
// (Patience), which holds up the worker like any full pipe does; then it reads on
// and drops whole lines until the reader takes something again. Those that are
// missing are told where they are missing, and counted:
//
//	[3] brood: 123 lines dropped
//
// A reader that is gone for good (EPIPE) is the same without an end.
package output
