package fanout

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/expand"
)

// Check is how a worker shows that it is ready, or alive. The zero Check asks
// nothing.
type Check struct {
	// Notify waits for the worker to say so by sd_notify(3).
	Notify bool
	// Prober asks it from outside.
	Prober Prober
	// Command is run, and code 0 is a yes. Its words are expanded by slot.
	Command []expand.Template
}

func (c Check) asks() bool { return c.Prober != nil || len(c.Command) > 0 }

// Prober asks one worker from outside, by a connection or a request. It is
// called from any goroutine.
type Prober interface {
	Check(ctx context.Context, of expand.Values) error
}

// The times of probes. The first ones of a start come fast, so that a worker
// which is ready soon is not waited for.
const (
	firstProbe   = 20 * time.Millisecond
	slowestProbe = time.Second // between two while a worker starts
	livePeriod   = 10 * time.Second
	liveFailures = 3 // in a row
	probeTimeout = 5 * time.Second
	abortGrace   = 5 * time.Second // for the core dump of a stuck worker
)

// checking is what is known of a worker's probes.
type checking struct {
	asked    bool // an answer is under way
	delay    time.Duration
	failures int // in a row
	last     error
}

// awaitReady begins the wait for a worker that has just started.
func (e *Engine) awaitReady(w *worker) {
	switch c := e.plan.Ready; {
	case c.Notify:
	case c.asks():
		w.check.delay = firstProbe
		e.probeLater(w)
	default:
		e.timers.after(e.plan.ReadyAfter, func() {
			if _, now := e.incarnation(w.ref); now != nil {
				e.workerReady(now)
			}
		})
		return
	}
	w.readyBy = w.began.Add(e.plan.ReadyTimeout)
	e.awaitReadyBy(w)
}

func (e *Engine) awaitReadyBy(w *worker) {
	e.timers.after(time.Until(w.readyBy), func() {
		_, now := e.incarnation(w.ref)
		switch {
		case now == nil || !w.readyAt.IsZero() || w.sent != 0 || e.stopping():
		case time.Now().Before(w.readyBy): // it has asked for more time
			e.awaitReadyBy(w)
		default:
			w.blame = ReasonUnready
			e.emit(WorkerUnready{w.slot.number, w.pid, time.Since(w.began), w.check.last})
			e.tellToEnd(w, "it is not ready in time")
		}
	})
}

// watchOver begins what is looked at for as long as a ready worker lives.
func (e *Engine) watchOver(w *worker) {
	e.recycle(w)
	w.check.delay, w.check.failures = livePeriod, 0
	if e.plan.Live.asks() {
		e.probeLater(w)
	}
	if w.watchdog > 0 {
		w.pinged = time.Now()
		e.awaitPing(w)
	}
}

func (e *Engine) awaitPing(w *worker) {
	e.timers.after(time.Until(w.pinged.Add(w.watchdog)), func() {
		_, now := e.incarnation(w.ref)
		switch {
		case now == nil || w.sent != 0 || w.watchdog == 0:
		case time.Now().Before(w.pinged.Add(w.watchdog)):
			e.awaitPing(w)
		default:
			e.stuck(w, fmt.Errorf("no WATCHDOG=1 for %s", w.watchdog))
		}
	})
}

func (e *Engine) probeLater(w *worker) {
	e.timers.after(w.check.delay, func() {
		if _, now := e.incarnation(w.ref); now == nil || w.sent != 0 || w.check.asked || e.stopping() {
			return
		}
		e.probe(w)
	})
}

// probe asks one worker. The answer comes as Probed, or as the end of a probe's
// process.
func (e *Engine) probe(w *worker) {
	c := e.plan.Ready
	if !w.readyAt.IsZero() {
		c = e.plan.Live
	}
	w.check.asked = true
	if c.Prober != nil {
		e.system.Probe(w.ref, c.Prober, e.identity(w.slot), probeTimeout)
		return
	}
	words := make([]string, len(c.Command))
	for i, word := range c.Command {
		words[i] = word.Expand(e.identity(w.slot))
	}
	ref := Ref{KindProbe, w.ref.Slot, w.ref.Incarnation}
	e.lastProbe++
	number := e.lastProbe // of two probes of one worker, this one
	e.probes[ref] = number
	e.system.Start(Launch{Ref: ref, Args: words, Env: withoutKey(e.launch(w).Env, EnvLeader)})
	e.timers.after(probeTimeout, func() {
		if e.probes[ref] == number {
			e.system.Signal([]Ref{ref}, syscall.SIGKILL, true)
		}
	})
}

func (e *Engine) probeExited(ref Ref, code int, err error) {
	delete(e.probes, ref)
	if err == nil && code != 0 {
		err = fmt.Errorf("the probe ended with code %d", code)
	}
	e.probed(Probed{Ref{KindWorker, ref.Slot, ref.Incarnation}, err})
}

// probeStarted ends a probe whose start was under way when the others were
// killed.
func (e *Engine) probeStarted(in Started) {
	if e.stopping() && e.phase != PhaseDraining {
		e.system.Signal([]Ref{in.Ref}, syscall.SIGKILL, true)
	}
}

// killProbes ends the probes that run: nobody wants their answers. The sweep waits
// until they are gone, with what they have started.
func (e *Engine) killProbes() {
	var running []Ref
	for ref := range e.probes {
		running = append(running, ref)
	}
	if len(running) > 0 {
		e.system.Signal(running, syscall.SIGKILL, true)
	}
}

func (e *Engine) probed(in Probed) {
	_, w := e.incarnation(in.Ref)
	if w == nil || !w.check.asked {
		return
	}
	w.check.asked = false
	w.check.last = in.Err
	if w.sent != 0 || e.stopping() && e.phase != PhaseDraining {
		return
	}
	if w.readyAt.IsZero() {
		if in.Err == nil {
			e.workerReady(w)
			return
		}
		w.check.delay = min(2*w.check.delay, slowestProbe)
		e.probeLater(w)
		return
	}
	e.liveProbed(w, in.Err)
}

func (e *Engine) liveProbed(w *worker, err error) {
	if err == nil {
		w.check.failures = 0
		if w.slot.due == CauseStuck {
			e.clearOwnDue(w.slot) // it has come back before its turn
		}
	} else {
		w.check.failures++
		e.emit(ProbeFailed{w.slot.number, w.pid, w.check.failures, err})
	}
	if w.check.failures >= liveFailures {
		w.check.failures = 0
		e.stuck(w, err)
	}
	e.probeLater(w)
}

// stuck has a worker replaced that no longer does its work, when the disruption
// budget allows it: what makes all of them hang at once must not end them all.
func (e *Engine) stuck(w *worker, why error) {
	s := w.slot
	if w.blame != "" || w.sent != 0 || s.due == CauseStuck || e.stopping() {
		return
	}
	e.emit(WorkerStuck{s.number, w.pid, why})
	if s.worker != w {
		e.endStuck(w)
		return
	}
	e.makeDue(s, CauseStuck)
}

// endStuck asks for a core dump, which says where the worker hangs.
func (e *Engine) endStuck(w *worker) {
	e.clearOwnDue(w.slot)
	w.blame = ReasonStuck
	e.endWith(w, syscall.SIGABRT, abortGrace, "it is stuck")
}

// identity is what is expanded for a slot.
func (e *Engine) identity(s *slot) expand.Values {
	return expand.Values{Slot: s.number, Index: s.number - 1, Count: e.wanted}
}

// watchdogEnvironment is what sd_watchdog_enabled(3) wants, if the plan has one.
func (e *Engine) watchdogEnvironment() []string {
	if e.plan.Watchdog <= 0 {
		return nil
	}
	return []string{"WATCHDOG_USEC=" + strconv.FormatInt(e.plan.Watchdog.Microseconds(), 10)}
}
