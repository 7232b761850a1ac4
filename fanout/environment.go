package fanout

import (
	"slices"
	"strconv"
	"strings"
)

// The variables that tell a worker who it is. Hooks get some of them too.
const (
	EnvSlot          = "BROOD_SLOT"
	EnvIndex         = "BROOD_INDEX"
	EnvCount         = "BROOD_COUNT"
	EnvIncarnation   = "BROOD_INCARNATION"
	EnvPIDFile       = "BROOD_PIDFILE"        // the pattern, as the setting takes it
	EnvWorkerPIDFile = "BROOD_WORKER_PIDFILE" // the worker's own file
	EnvLeader        = "BROOD_LEADER"         // "1" in at most one worker at any time
	EnvPID           = "BROOD_PID"            // the ended worker's, for the exit hook
	EnvSignal        = "BROOD_SIGNAL"         // what killed it, empty if nothing did
	EnvExitCode      = "BROOD_EXIT_CODE"
	EnvReason        = "BROOD_REASON"
	EnvUptime        = "BROOD_UPTIME" // seconds, with a fraction
)

// launch is a worker to be: the command, its arguments expanded if
// asked for, and the environment with the worker's identity.
func (e *Engine) launch(w *worker) Launch {
	s, id := w.slot, e.identity(w.slot)
	args := e.plan.Command
	if e.plan.Arguments != nil {
		args = make([]string, 1, len(e.plan.Command))
		args[0] = e.plan.Command[0]
		for _, a := range e.plan.Arguments {
			args = append(args, a.Expand(id))
		}
	}
	env := e.commonEnvironment(e.workerBase, 8+len(e.plan.WorkerEnvironment))
	env = append(env,
		EnvSlot+"="+strconv.Itoa(s.number),
		EnvIndex+"="+strconv.Itoa(s.number-1),
		EnvIncarnation+"="+strconv.Itoa(w.ref.Incarnation),
	)
	if e.plan.PIDFiles != nil {
		env = append(env, EnvWorkerPIDFile+"="+e.plan.PIDFiles.Path(s.number))
	}
	if w.leader {
		env = append(env, EnvLeader+"=1")
	}
	for _, v := range e.plan.WorkerEnvironment {
		env = append(env, v.Key+"="+v.Value.Expand(id))
	}
	env = append(env, e.watchdogEnvironment()...)
	return Launch{Ref: w.ref, Args: args, Env: env, Stdin: e.plan.InheritStdin, Beside: s.successor == w}
}

// commonEnvironment is base and what workers and hooks share, with room for
// more.
func (e *Engine) commonEnvironment(base []string, room int) []string {
	env := make([]string, 0, len(base)+2+room)
	env = append(env, base...)
	env = append(env, EnvCount+"="+strconv.Itoa(e.wanted))
	if e.plan.PIDFiles != nil {
		env = append(env, EnvPIDFile+"="+e.plan.PIDFiles.String())
	}
	return env
}

// hookEnvironment is commonEnvironment for hooks.
func (e *Engine) hookEnvironment(more ...string) []string {
	return append(e.commonEnvironment(e.plan.Environment, len(more)), more...)
}

// without leaves out the variables that are set per worker: of two entries
// with one name a C library takes the first.
func without(environ []string, set []Variable) []string {
	if len(set) == 0 {
		return environ
	}
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		key, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(set, func(v Variable) bool { return v.Key == key })
	})
}
