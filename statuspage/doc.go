// Package statuspage is the page for people at /: what runs, since when, what
// has ended and why.
//
//	engine ──events────> Page (last ends, hooks, the plan) ─┐
//	engine ──Snapshot───────────────────────────────────────┼─> HTML
//	metrics ──Figures──> Page (a history of five minutes) ──┘
//
// The page is complete without its script, which fetches the page again every
// few seconds and puts into the document what has changed: focus, scrolling and
// selection stay where they are, and one place makes the text.
//
// # What is not on it
//
// Whoever reaches the listener sees the page. So there are numbers and words of
// brood's own on it and nothing that a worker, a hook or a user has written: no
// argument, variable, path, address, no status text, no name of a process, no
// error of a probe.
//
// # What it costs
//
// Nothing until it is asked for, but for a few words of memory for each of the
// last ends: nothing is rendered, read or hashed before, and no timer runs. The
// history grows when somebody looks, or scrapes.
package statuspage
