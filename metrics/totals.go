package metrics

import (
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/pidfiles"
	"github.com/brood-init/brood/reaper"
)

const (
	signalCount = 65  // numbers 1 to 64; 0 is none
	codeCount   = 256 // what wait(2) can tell
)

// totals are the counters that belong to no slot. Each is read and written by
// itself: no two of them have to agree.
type totals struct {
	received, forwarded [signalCount]atomic.Uint64
	reapedBy            [reapedCount]atomic.Uint64
	orphans             [originCount]atomic.Uint64
	codes               [codeCount]atomic.Uint64
	signals             [signalCount]atomic.Uint64
	hookRuns            [hookCount][hookResultCount]atomic.Uint64
	hookSeconds         [hookCount]atomic.Uint64 // the bits of a float64
	scalings            [scaleCauseCount]atomic.Uint64
	reloads             [changeResultCount]atomic.Uint64
	replaced            [replaceCauseCount][changeResultCount]atomic.Uint64
	unanswered          atomic.Uint64
	dropped             atomic.Uint64
	problems            [problemKindCount]atomic.Uint64
	panics              atomic.Uint64
	answered            [requestCodeCount]atomic.Uint64
	stops               atomic.Pointer[stopTimes]
}

// count folds the events that are about no slot.
func (t *totals) count(ev fanout.Event) {
	switch ev := ev.(type) {
	case fanout.SignalReceived:
		countAt(t.received[:], int(ev.Signal), 1)
	case fanout.SignalForwarded:
		countAt(t.forwarded[:], int(ev.Signal), ev.Workers)
	case fanout.OrphansAdopted:
		t.reapedBy[reapedOrphan].Add(uint64(ev.Count))
		countAt(t.orphans[:], originHook, ev.Origins.Hooks)
		countAt(t.orphans[:], originProbe, ev.Origins.Probes)
		countAt(t.orphans[:], originUnknown, ev.Origins.Others)
		for code, n := range ev.Codes {
			countAt(t.codes[:], code, n)
		}
		for sig, n := range ev.Signals {
			countAt(t.signals[:], sig, n)
		}
	case fanout.HookFinished:
		t.hookFinished(ev)
	case fanout.HookDropped:
		t.dropped.Add(1)
	case fanout.Scaled:
		countAt(t.scalings[:], slices.Index(scaleCauses(), ev.Cause), 1)
	case fanout.ReloadEnded:
		countAt(t.reloads[:], resultOf(ev.Err == nil), 1)
	case fanout.SlotReplaced:
		t.replacement(ev.Cause, true)
	case fanout.ReplacementFailed:
		t.replacement(ev.Cause, false)
	case fanout.ProbeEnded:
		t.reaped(reapedProbe, ev.Status)
	case fanout.ProbeFailed:
		t.unanswered.Add(1)
	case fanout.PIDFileRefused:
		t.problems[problemIndex(ev.Err)].Add(1)
	case fanout.Panicked:
		t.panics.Add(1)
	}
}

// resultOf is an index of changeResults.
func resultOf(success bool) int {
	if success {
		return 0
	}
	return 1
}

func (t *totals) replacement(cause fanout.ReplaceCause, success bool) {
	if i := slices.Index(replaceCauses(), string(cause)); i >= 0 {
		countAt(t.replaced[i][:], resultOf(success), 1)
	}
}

// countAt ignores a number that cannot be, rather than to bring brood down.
func countAt(counters []atomic.Uint64, i, n int) {
	if i >= 0 && i < len(counters) && n > 0 {
		counters[i].Add(uint64(n))
	}
}

func (t *totals) reaped(kind int, s reaper.Status) {
	t.reapedBy[kind].Add(1)
	if s.Signal != 0 {
		countAt(t.signals[:], int(s.Signal), 1)
	} else {
		countAt(t.codes[:], s.Code, 1)
	}
}

func (t *totals) hookFinished(ev fanout.HookFinished) {
	all := hooks()
	hook := slices.Index(all[:], ev.Hook)
	if hook < 0 {
		return
	}
	result := hookFailure
	switch {
	case ev.TimedOut:
		result = hookTimeout
	case ev.Code == 0:
		result = hookSuccess
	}
	t.hookSeconds[hook].Store(math.Float64bits(ev.Duration.Seconds()))
	t.hookRuns[hook][result].Add(1)
	if ev.Err != nil {
		return // there was no process
	}
	if ev.Signal == 0 && ev.TimedOut { // then the code is brood's word, not the process's
		t.reapedBy[reapedHook].Add(1)
		return
	}
	status := reaper.Status{Code: ev.Code}
	if ev.Signal != 0 {
		status = reaper.Status{Signal: ev.Signal}
	}
	t.reaped(reapedHook, status)
}

func problemIndex(err error) int {
	kinds := problemKinds()
	kind := kinds[problemKindCount-1]
	var pointer *pidfiles.Problem
	var value pidfiles.Problem
	switch {
	case errors.As(err, &pointer):
		kind = string(pointer.Kind)
	case errors.As(err, &value):
		kind = string(value.Kind)
	}
	if i := slices.Index(kinds, kind); i >= 0 {
		return i
	}
	return problemKindCount - 1
}

func (t *totals) answeredWith(code int) {
	switch code {
	case 200:
		t.answered[0].Add(1)
	case 405:
		t.answered[1].Add(1)
	case 500:
		t.answered[2].Add(1)
	case 503:
		t.answered[3].Add(1)
	}
}

// presetSignals are on the page before the first one arrives; the others, of
// which there are fifty, from then on.
func presetSignals() []syscall.Signal {
	return []syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGWINCH, syscall.SIGCONT,
	}
}

// presetEnds are the signals by which processes usually end.
func presetEnds() []syscall.Signal {
	return []syscall.Signal{syscall.SIGABRT, syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGTERM}
}

// presetCodes are the exit codes that are on the page from the start.
func presetCodes() []int { return []int{0, 1} }

const stopBucketCount = 10

// stopBuckets are upper bounds in seconds: around the grace that docker (10 s)
// and Kubernetes (30 s) give.
func stopBuckets() [stopBucketCount]float64 {
	return [...]float64{0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120}
}

// stopTimes is a histogram; it never changes once it is published, since its
// parts have to agree.
type stopTimes struct {
	buckets [stopBucketCount]uint64 // each without the ones below
	count   uint64
	sum     float64
}

func (t *totals) stopTook(d time.Duration) {
	next := new(stopTimes)
	if old := t.stops.Load(); old != nil {
		*next = *old
	}
	bounds := stopBuckets()
	if i, _ := slices.BinarySearch(bounds[:], d.Seconds()); i < len(next.buckets) {
		next.buckets[i]++
	}
	next.count++
	next.sum += d.Seconds()
	t.stops.Store(next)
}
