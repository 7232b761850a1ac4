package fanout

// Reason says why a worker has ended, or brood as a whole. It is one
// enumeration everywhere: log, events, metrics, hooks, status, termination
// message.
type Reason string

// The reasons; Reasons says what they mean.
const (
	ReasonCompleted Reason = "completed"
	ReasonFailed    Reason = "failed"
	ReasonSignaled  Reason = "signaled"
	ReasonOOM       Reason = "oom"
	ReasonStopped   Reason = "stopped"
	ReasonKilled    Reason = "killed"
	ReasonUnready   Reason = "unready"
	ReasonStuck     Reason = "stuck"

	ReasonRequested   Reason = "requested"
	ReasonStartFailed Reason = "start-failed"
	ReasonGaveUp      Reason = "gave-up"
	ReasonUsage       Reason = "usage"
	ReasonInternal    Reason = "internal"
)

// Meaning is what a reason says of a worker's end, and of brood's; a text is
// empty where the reason is never given.
type Meaning struct {
	Reason        Reason
	Worker, Brood string
}

// Reasons is the table of all reasons, those of workers first.
func Reasons() []Meaning {
	const worker = "a worker that ended so decided"
	return []Meaning{
		{ReasonCompleted, "ended with 0 by itself", "every worker completed"},
		{ReasonFailed, "ended with another code", "the code of a worker or a hook decided"},
		{ReasonSignaled, "a signal killed it, and brood had not sent it", worker},
		{ReasonOOM, "the kernel killed it, or the child whose end it reports by 137, for lack of memory", worker},
		{ReasonStopped, "honoured the stop", ""},
		{ReasonKilled, "outlived the grace, and brood killed it", "somebody had to be killed"},
		{ReasonUnready, "was not ready in time", ""},
		{ReasonStuck, "gave no sign of life", ""},
		{ReasonRequested, "", "asked to stop, and all honoured it"},
		{ReasonStartFailed, "", "the command cannot be executed (126) or found (127)"},
		{ReasonGaveUp, "", "a slot's crash budget is used up and no worker is ready"},
		{ReasonUsage, "", "a setting cannot be used; nothing was started"},
		{ReasonInternal, "", "brood's own failure"},
	}
}

// WorkerReasons are those for which a worker can end, in the table's order.
func WorkerReasons() []Reason {
	var all []Reason
	for _, m := range Reasons() {
		if m.Worker != "" {
			all = append(all, m.Reason)
		}
	}
	return all
}

// Meaning is the row of the reason; zero when there is none.
func (r Reason) Meaning() Meaning {
	for _, m := range Reasons() {
		if m.Reason == r {
			return m
		}
	}
	return Meaning{}
}

// end is why brood ends when a worker's end for this reason decides.
func (r Reason) end() Reason {
	if r.Meaning().Brood == "" {
		return ReasonFailed
	}
	return r
}
