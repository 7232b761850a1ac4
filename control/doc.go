// Package control is brood's own socket: HTTP and JSON over a unix socket that
// only its user and root may use, never over TCP. It answers
//
//	GET /v1/status   the brood and its slots (Status)
//	GET /v1/events   what happens from now on, one JSON object per line
//	POST /v1/reload  replaces all workers; events until it is over, then a Result
//	POST /v1/scale   ?to=N, +N, -N or auto: a Result
//	POST /v1/stop    stops the brood; events until it has left
//	GET /readyz      200 when the brood should get requests, else 503 and why
//	GET /livez       200 when the engine answers within a second
//
// Serving never holds the engine up: the status is made from its last snapshot,
// and a watcher of events that reads too slowly loses some, which it is told.
package control

import "time"

// Status is the brood at one instant. It is the stable contract of
// "brood status -o json": fields are added, never renamed.
type Status struct {
	Version       int          `json:"version"` // 1
	PID           int          `json:"pid"`
	Phase         string       `json:"phase"`
	Began         time.Time    `json:"began"`
	UptimeSeconds float64      `json:"uptime_seconds"`
	Wanted        int          `json:"wanted"`
	Ready         int          `json:"ready"`
	Serves        bool         `json:"serves"`
	Started       bool         `json:"started"` // all workers have been ready once
	Reloading     bool         `json:"reloading"`
	Following     bool         `json:"following"`        // wanted follows the container's limits
	Reason        string       `json:"reason,omitempty"` // why it does not serve
	StopBy        *time.Time   `json:"stop_by,omitempty"`
	Slots         []Slot       `json:"slots"`
	Registered    []Registered `json:"registered"`
}

// Result is how a request that changes something has ended. It is the last line
// of the answer, and the only one with "ok" in it.
type Result struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	From  int    `json:"from,omitempty"` // workers wanted before and after
	To    int    `json:"to,omitempty"`
}

// Slot is a worker's place.
type Slot struct {
	Slot          int        `json:"slot"`
	PID           int        `json:"pid,omitempty"`
	State         string     `json:"state"`
	Ready         bool       `json:"ready"`
	Leader        bool       `json:"leader"`
	Incarnation   int        `json:"incarnation"`
	Restarts      int        `json:"restarts"`
	Started       *time.Time `json:"started,omitempty"`
	ReadySince    *time.Time `json:"ready_since,omitempty"`
	Status        string     `json:"status,omitempty"`    // what the worker says of itself
	Reloading     bool       `json:"reloading,omitempty"` // it says so, and is ready all the same
	Replacing     string     `json:"replacing,omitempty"` // why its process is to be replaced
	UptimeSeconds float64    `json:"uptime_seconds"`
	CPUSeconds    float64    `json:"cpu_seconds"` // of the process that runs
	RSSBytes      int64      `json:"rss_bytes"`
	LastExit      *LastExit  `json:"last_exit,omitempty"`
	OrphansReaped int        `json:"orphans_reaped"`  // what its workers have left to brood and has ended
	Leaks         *Leaks     `json:"leaks,omitempty"` // absent where it is not known
}

// Leaks are processes that are there because a worker does not see to its
// children.
type Leaks struct {
	Zombies int `json:"zombies"` // ended, and their parent below the worker does not wait for them
	Adopted int `json:"adopted"` // alive, their parent has ended, and they are brood's children now
}

// LastExit is how a slot's last process ended.
type LastExit struct {
	At     time.Time `json:"at"`
	PID    int       `json:"pid"`
	Code   int       `json:"code"` // 128 plus the signal's number for a signal
	Signal string    `json:"signal,omitempty"`
	Reason string    `json:"reason"`
	// UptimeSeconds is how long it had lived.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// OOMKills counts processes of the container that the kernel has killed for
	// lack of memory shortly before it failed, children of it most likely.
	OOMKills uint64 `json:"oom_kills,omitempty"`
	// LastLine says most of what it wrote to stderr in the end, LastLines are the
	// last ones; only where brood carries the output (--output), and for a failure.
	LastLine  string   `json:"last_line,omitempty"`
	LastLines []string `json:"last_lines,omitempty"`
}

// Registered is a process that put its PID into a file of the pattern.
type Registered struct {
	Index int    `json:"index"`
	PID   int    `json:"pid"`
	Comm  string `json:"comm"`
}
