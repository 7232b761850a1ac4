package entrypoint

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/oklog/run"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
)

// actors are the parts of a running brood. Only the engine's returns by itself; the
// others serve it until they are interrupted, and an interrupt only closes a
// channel.
type actors struct {
	group   run.Group
	log     *logSink
	abandon func() // takes away what a part that does not end would leave
}

// add has serve run, again if it fails, until the engine has ended.
func (a *actors) add(name string, serve func(stop <-chan struct{}) error) {
	stop := make(chan struct{})
	a.group.Add(func() error {
		keepServing(a.log, name, serve, stop)
		return nil
	}, func(error) { close(stop) })
}

// run returns when the engine has ended and all others have, or should have.
func (a *actors) run(engine *fanout.Engine) {
	ended, left := make(chan error, 1), make(chan struct{})
	defer close(left)
	go func() { ended <- a.group.Run() }()
	select {
	case err := <-ended:
		if err != nil {
			a.log.write(warnLine("an actor failed", slog.String("error", err.Error())))
		}
	case <-overdue(engine, left):
		a.log.write(warnLine("leaving although a part of brood does not end"))
		a.abandon()
	}
}

// runActors wires the parts and returns brood's exit code.
func runActors(plan fanout.Plan, host *fanout.Host, sig *signals, report *startReporter, log *logSink, w *window) int {
	start := newBeginning(plan.Count)
	engine := fanout.New(plan, host, host.Inputs(), w.sayWhyLast, log.observe, w.table.Observe, w.page.Observe, w.control.Observe, start.observe)
	w.host, w.engine = host, engine
	if plan.Count > 1 {
		reserveThreads(nil)
	}
	notifier := newNotifier(w)
	w.observe(report, notifier)
	engine.Begin() // the rest comes while the first worker starts

	all := actors{log: log, abandon: w.abandonControl}
	all.group.Add(func() error {
		engine.Run()
		host.AwaitSweep(lastMoment * 4 / 5)
		// Nobody reads the inputs any more: whoever has one must not wait.
		host.Close()
		return nil
	}, func(error) {})
	all.add("reaping", func(stop <-chan struct{}) error { host.Reap(sig.child, stop); return nil })
	all.add("signals", func(stop <-chan struct{}) error { forwardSignals(sig, host, w, start, stop); return nil })
	served := start.calm
	if plan.Prepare.Defined() {
		served = make(chan struct{}) // whoever waits for prepare wants to see that it runs
		close(served)
	}
	all.add("control", after(served, w.serveControl))
	all.add("metrics", after(served, w.serveHTTP))
	if w.health != nil {
		all.add("health", after(served, w.serveHealth))
	}
	if report != nil {
		all.add("daemon", func(stop <-chan struct{}) error { return report.serve(w, stop) })
	}
	if notifier != nil {
		all.add("notify", notifier.serve)
	}
	if w.janitor != nil {
		all.add("janitor", w.janitor.serve)
	}
	if plan.FollowLimits {
		all.add("limits", after(start.calm, func(stop <-chan struct{}) error { return watchLimits(w.cfg, host, plan.Count, stop) }))
	}
	all.run(engine)
	return engine.Outcome().Code
}

// observe has the engine tell those that not every brood has what happens. They
// may be nil.
func (w *window) observe(report *startReporter, notifier *notifier) {
	w.engine.Also(func(_ time.Time, ev fanout.Event) {
		if scaled, ok := ev.(fanout.Scaled); ok && !w.cfg.hasTasks() {
			w.world.Do(func() { debug.SetMemoryLimit(w.memoryLimit(scaled.To)) })
		}
	})
	if report != nil {
		w.engine.Also(report.observe)
	}
	if notifier != nil {
		w.engine.Also(notifier.observe)
	}
	if w.janitor != nil {
		w.engine.Also(w.janitor.observe)
	}
}

// lastMoment is how long the parts of brood may take to end after the engine.
const lastMoment = 500 * time.Millisecond

// overdue is closed when the engine has ended and the rest should have, too:
// brood leaves at the end of its budget whatever is stuck. It is no longer
// wanted when left is closed.
func overdue(engine *fanout.Engine, left <-chan struct{}) <-chan struct{} {
	late := make(chan struct{})
	go func() {
		<-engine.Done()
		select {
		case <-time.After(lastMoment):
			close(late)
		case <-left:
		}
	}()
	return late
}

// forwardSignals takes the less urgent signals once the first process has been
// started, and passes what arrives to the engine. Later it makes brood small.
func forwardSignals(sig *signals, host *fanout.Host, w *window, start *beginning, stop <-chan struct{}) {
	first, calm := start.first, start.calm
	for {
		select {
		case s := <-sig.rest:
			host.Send(fanout.SignalArrived{Signal: s.(unix.Signal)})
		case <-first:
			first = nil
			sig.takeOthers(stop)
			w.log.write(debugLine("all signals are taken"))
			reserveThreads(stop) // for a lone worker it had to wait
		case <-calm:
			calm = nil
			if !w.cfg.hasTasks() {
				w.world.Do(func() { tuneRuntime(w.memoryLimit(w.engine.Snapshot().Wanted)) })
			}
		case <-stop:
			return
		}
	}
}

// after runs an actor once begun is closed.
func after(begun <-chan struct{}, serve func(stop <-chan struct{}) error) func(stop <-chan struct{}) error {
	return func(stop <-chan struct{}) error {
		select {
		case <-begun:
			return serve(stop)
		case <-stop:
			return nil
		}
	}
}

// retryMost bounds the pause before an actor that failed is tried again.
const retryMost = time.Minute

// keepServing returns only once stop is closed. What fails or panics is
// reported and tried again, ever more rarely: an init cannot do without it.
func keepServing(log *logSink, name string, serve func(stop <-chan struct{}) error, stop <-chan struct{}) {
	told := ""
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, retryMost) {
		err := guarded(serve, stop)
		if err == nil {
			<-stop // it has nothing to do
			return
		}
		select {
		case <-stop:
			return
		default:
		}
		if err.Error() != told {
			told = err.Error()
			log.write(warnLine("not served", slog.String("actor", name), slog.String("error", told)))
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
	}
}

func guarded(serve func(stop <-chan struct{}) error, stop <-chan struct{}) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("internal error: %v\n%s", v, debug.Stack())
		}
	}()
	return serve(stop)
}
