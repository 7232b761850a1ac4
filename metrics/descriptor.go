package metrics

import (
	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/pidfiles"
)

// Type is a metric's type as the exposition format spells it.
type Type string

// The types.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Label is a label's name and, when they form an enumeration, its values, all of
// which are there from the start.
type Label struct {
	Name   string
	Values []string
}

// Descriptor is what can be said of a metric before there is any: the
// exposition, the documentation and the tests are all made from it.
type Descriptor struct {
	Name   string
	Type   Type
	Labels []Label
	Help   string // one sentence, with the unit
	// Short says that the metric is part of the short set.
	Short bool
	// Source is where the figure comes from.
	Source string
}

// Descriptors is every metric that can be on the page, sorted by topic.
func Descriptors() []Descriptor {
	all := table()
	return all[:]
}

// Where figures come from.
const (
	fromEvents   = "events"
	fromSnapshot = "engine"
	fromStat     = "/proc/PID/stat"
	fromFinal    = "/proc/PID/stat, the zombie's at the end"
	fromCensus   = "/proc/PID/stat of all processes, every 15 s at most"
	fromBuild    = "build"
	fromGatherer = "this package"
	fromWorkers  = "`--worker-metrics`"
)

func labelled(name string, values ...string) []Label { return []Label{{name, values}} }

func worker(more ...Label) []Label { return append(more, Label{Name: "worker"}) }

// names turns an enumeration of the engine into label values.
func names[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// The enumerations, in the order in which the table counts them.

func phases() []fanout.Phase {
	return []fanout.Phase{
		fanout.PhasePreparing, fanout.PhaseRunning, fanout.PhaseDraining, fanout.PhaseTerminating,
		fanout.PhaseSweeping, fanout.PhaseFinishing, fanout.PhaseLeaving, fanout.PhaseDone,
	}
}

const slotStateCount = 6

func slotStates() [slotStateCount]fanout.SlotState {
	return [...]fanout.SlotState{
		fanout.SlotStarting, fanout.SlotReady, fanout.SlotStopping,
		fanout.SlotBackoff, fanout.SlotCompleted, fanout.SlotFailed,
	}
}

const reasonCount = 8

func exitReasons() (all [reasonCount]fanout.Reason) {
	copy(all[:], fanout.WorkerReasons()) // a test compares the lengths
	return all
}

const hookCount = 3

func hooks() [hookCount]fanout.Kind {
	return [...]fanout.Kind{fanout.KindPrepare, fanout.KindFinish, fanout.KindExitHook}
}

// The results of a hook, indices of their names.
const (
	hookSuccess = iota
	hookFailure
	hookTimeout
	hookResultCount
)

func hookResults() []string { return []string{"success", "failure", "timeout"} }

// The kinds of reaped processes.
const (
	reapedWorker = iota
	reapedOrphan
	reapedHook
	reapedProbe
	reapedCount
)

func reapedKinds() []string { return []string{"worker", "orphan", "hook", "probe"} }

// The origins of orphans: workers, hooks and probes are reapedKinds too.
const (
	originWorker = iota
	originHook
	originProbe
	originUnknown
	originCount
)

func orphanOrigins() []string { return []string{"worker", "hook", "probe", "unknown"} }

// The files whose reading may fail.
type source int

const (
	sourceStat source = iota
	sourceIO
	sourceFDs
	sourceLimits
	sourceChildren
	sourceCgroup
	sourceCount
)

func sources() []string { return []string{"stat", "io", "fd", "limits", "children", "cgroup"} }

func memoryEvents() []string {
	all := make([]string, cgroup.MemoryEvents)
	for e := range cgroup.MemoryEvents {
		all[e] = e.String()
	}
	return all
}

// problemKinds ends with what is no problem of one PID file.
func problemKinds() []string {
	return []string{
		string(pidfiles.Stale), string(pidfiles.Recycled), string(pidfiles.Foreign), string(pidfiles.Malformed),
		string(pidfiles.Self), string(pidfiles.Thread), string(pidfiles.NotFile), string(pidfiles.Unreadable),
		string(pidfiles.Unremoved), "other",
	}
}

const problemKindCount = 10

func requestCodes() []string { return []string{"200", "405", "500", "503"} }

const requestCodeCount = 4

const (
	changeResultCount = 2
	replaceCauseCount = 4
	scaleCauseCount   = 2
)

func changeResults() []string { return []string{"success", "failure"} }

func replaceCauses() []string {
	return []string{string(fanout.CauseReload), string(fanout.CauseAge), string(fanout.CauseMemory), string(fanout.CauseStuck)}
}

func scaleCauses() []string { return []string{"asked", "limits"} }
