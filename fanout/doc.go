// Package fanout is the engine of brood: it keeps N workers in their slots and
// ends them well.
//
// # One goroutine, no waiting
//
// The Engine is one goroutine that owns all state, so there is no lock in it.
// It never blocks: it acts through a System whose methods only ask, and learns
// what came of it from Inputs on one channel. A start that hangs on a slow disk
// therefore delays neither a kill nor a timer, and brood leaves at the end of
// its stop budget whatever is stuck. Host is the System of a real machine.
//
//	Plan ──> Engine ──asks──> System ──> processes
//	           │  ^                          │
//	           │  └────────── Inputs ────────┘
//	           └──Events──> observers (log, metrics, status)
//
// Decisions are pure functions with tables for tests: Schedule, Backoff,
// outcome. Effects are thin.
//
// # A slot's life
//
// A slot is a worker's place. Its number, from 1 up, is stable over restarts,
// and names the PID file, the metrics label and the log lines. An incarnation is
// one process in its history.
//
//	            ┌───────────────── backoff over, or reload ─────────┐
//	            v                                                   │
//	(opened) starting ──ended, to be restarted──────────> backoff / failed
//	          ^ │ │ │                                        ^      │
//	replaced  │ │ │ └─its check says so─> ready ─────────────┤      │
//	          │ │ │                       │  │  ended, to be restarted
//	          │ │ └─told to end─> stopping <─┘  │  │         │      │
//	          └─────────────────────┘ │ └───────┼──┼─────────┘      │
//	            │                     v         │  │                │
//	            └─work done───> completed <─────┘  │                │
//	                                  │            │                │
//	                                  └──> (closed: scaled away) <──┘
//
// A slot becomes failed instead of going to backoff when its crash budget is
// used up; it is retried, but only at the longest delay. With the restart policy
// "never", and when a failure stops everybody, a failed slot stays failed. Any
// ended worker is completed once brood is stopping. The table in transitions
// says the same for a test to walk.
//
// A ready worker may get a successor before it ends (a surge): then the slot
// stays ready throughout, with two processes. The successor takes its place when
// it is ready, and is let go when it fails. What replaces workers, reloads, age,
// memory and failed checks, shares one disruption budget: see replace.go.
//
// # A brood's life
//
//	preparing -> running -> draining -> terminating -> sweeping -> finishing -> leaving
//
// The stop is told from top to bottom in stop.go.
//
// # Deadlines
//
// A timer is never cancelled: its callback looks at the state it finds and
// ignores what is no longer true. One that fires more than a second late, as
// after docker pause, is put off once; those of the stop budget are not.
package fanout

// transitions are the changes of state that a slot may make.
func transitions() map[SlotState][]SlotState {
	return map[SlotState][]SlotState{
		"":            {SlotStarting},
		SlotStarting:  {SlotReady, SlotStopping, SlotBackoff, SlotCompleted, SlotFailed, ""},
		SlotReady:     {SlotStarting, SlotStopping, SlotBackoff, SlotCompleted, SlotFailed},
		SlotStopping:  {SlotStarting, SlotBackoff, SlotCompleted, SlotFailed, ""},
		SlotBackoff:   {SlotStarting, ""},
		SlotFailed:    {SlotStarting, ""},
		SlotCompleted: {""},
	}
}
