package entrypoint

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/oklog/run"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/internal/tty"
	"github.com/brood-init/brood/pidfiles"
)

// Main is the command: it reads args (without the program's name) and environ,
// runs until the end, and returns the exit code. Signals are taken first of
// all, before anything that takes time; they arrive on queue, which must have
// room for a burst of them and may hold some already.
func Main(args, environ []string, stdin, stdout, stderr *os.File, queue chan os.Signal) int {
	return Program{}.Main(args, environ, stdin, stdout, stderr, queue)
}

// Main is the function Main for any Program.
func (p Program) Main(args, environ []string, stdin, stdout, stderr *os.File, queue chan os.Signal) int {
	sig := takeSignals(queue)
	environ, p.detached = takeDetached(environ, os.Getppid())
	if handled, code := p.dispatch(args, environ, stdout, stderr); handled {
		return code
	}
	report := newStartReporter(p.detached)
	cfg, err := p.load(args, environ)
	code := 0
	if err == nil {
		if action, _, _ := cfg.daemonAction(); action != "" {
			return cfg.runDaemon(action, sig, stdout, stderr)
		}
		code, err = start(cfg, sig, report, environ, stdin, stdout, stderr)
	}
	if err != nil {
		report.failed(err)
		if p.detached != nil && errors.Is(err, pidfiles.ErrMasterAlive) {
			return exitCode(err) // one runs: whoever has started this one says so
		}
		p.complain(stderr, err)
		p.sayWhyNotStarted(cfg, environ, err)
		return exitCode(err)
	}
	return code
}

// exitCode is the code for a brood that has not started anything: 2 when a
// setting is to blame, 125 otherwise.
func exitCode(err error) int {
	if _, ok := errors.AsType[*UsageError](err); ok {
		return CodeUsage
	}
	return fanout.CodeInternal
}

// start prepares everything that the workers need and runs them. An error
// means that nothing was started.
func start(cfg *Config, sig *signals, report *startReporter, environ []string, stdin, stdout, stderr *os.File) (int, error) {
	log := newLogSink(int(stderr.Fd()), cfg.logJSON(), cfg.logLevel())
	defer log.close()
	for _, w := range cfg.Warnings {
		log.write(warnLine(w))
	}
	if err := cfg.permitted(); err != nil {
		return 0, err
	}
	// Orphans of the workers come to brood, PID 1 or not. Linux 3.4.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil && os.Getpid() != 1 {
		log.write(warnLine("orphans of the workers will not be reaped here: cannot become a subreaper", slog.String("error", err.Error())))
	}
	count := decideCount(cfg, log)
	plan, err := cfg.Plan(count.N)
	if err != nil {
		return 0, err
	}
	plan.Signals = signalTable(cfg.Signal.Value, hangUp())
	processes := proc.FS("").Ours()
	if processes == proc.None {
		log.write(warnLine("there is no /proc of this PID namespace: PID files are not acted on, and stragglers are found by PID 1 only"))
	}
	reg, err := openRegistry(cfg, processes, log.write)
	if err != nil {
		return 0, cfg.pidFileError(err)
	}
	running := false
	defer func() {
		if !running {
			reg.release() // nobody else will
		}
	}()
	reported := reg.cleanStale(log.write)
	if reg.dir != nil {
		pattern := reg.dir.Pattern()
		plan.PIDFiles = &pattern
		plan.Taken = reg.taken()
	}
	pattern := ""
	if reg.own != nil {
		pattern = reg.own.Pattern().String()
	}
	w, err := newWindow(cfg, log, pattern, count)
	if err != nil {
		return 0, err
	}
	dress, err := cfg.dress(environ, reg, stdout, stderr)
	if err != nil {
		return 0, errors.Join(err, w.close())
	}
	if w.janitor, err = newJanitor(cfg, log); err != nil {
		return 0, errors.Join(err, w.close(), undress(dress))
	}
	cwd := ""
	if !cfg.hasTasks() {
		cwd = leaveDirectory()
	}
	plan.Foreground = plan.InheritStdin && stdin.Fd() == 0 && tty.IsControlling(0)
	if plan.Foreground {
		// A shell may stop and resume us at any moment, and the worker with us.
		sig.take(unix.SIGCONT)
		sig.take(unix.SIGTSTP)
	}
	host, err := fanout.NewHost(fanout.HostOptions{
		Dir: reg.dir, Master: reg.master, WorkingDirectory: cwd, Proc: processes,
		Terminal: plan.Foreground, Reported: reported, Dress: dress,
	})
	if err != nil {
		return 0, fmt.Errorf("cannot open what workers read: %w", err)
	}
	defer host.Close()
	announce(log, cfg, plan, count)
	running = true
	code := runActors(plan, host, sig, report, log, w)
	if err := undress(dress); err != nil {
		log.write(warnLine(err.Error()))
	}
	return code, nil
}

// runActors wires the parts. Only the engine's actor returns by itself; the
// others serve it until they are interrupted, and an interrupt only closes a
// channel.
func runActors(plan fanout.Plan, host *fanout.Host, sig *signals, report *startReporter, log *logSink, w *window) int {
	start := newBeginning(plan.Count)
	engine := fanout.New(plan, host, host.Inputs(), w.sayWhyLast, log.observe, w.table.Observe, w.page.Observe, w.control.Observe, start.observe)
	w.host, w.engine = host, engine
	if plan.Count > 1 {
		reserveThreads(nil)
	}
	served := start.calm
	if plan.Prepare.Defined() {
		served = make(chan struct{}) // whoever waits for prepare wants to see that it runs
		close(served)
	}
	var group run.Group
	engine.Also(func(_ time.Time, ev fanout.Event) {
		if scaled, ok := ev.(fanout.Scaled); ok && !w.cfg.hasTasks() {
			debug.SetMemoryLimit(w.memoryLimit(scaled.To))
		}
	})
	if report != nil {
		engine.Also(report.observe)
	}
	notifier := newNotifier(w)
	if notifier != nil {
		engine.Also(notifier.observe)
	}
	if w.janitor != nil {
		engine.Also(w.janitor.observe)
	}
	engine.Begin() // the rest comes while the first worker starts
	group.Add(func() error {
		engine.Run()
		// Nobody reads the inputs any more: whoever has one must not wait.
		host.Close()
		return nil
	}, func(error) {})
	add := func(name string, serve func(stop <-chan struct{}) error) {
		stop := make(chan struct{})
		group.Add(func() error {
			keepServing(log, name, serve, stop)
			return nil
		}, func(error) { close(stop) })
	}
	add("reaping", func(stop <-chan struct{}) error { host.Reap(sig.child, stop); return nil })
	add("signals", func(stop <-chan struct{}) error { forwardSignals(sig, host, w, start, stop); return nil })
	add("control", after(served, w.serveControl))
	add("metrics", after(served, w.serveHTTP))
	if w.health != nil {
		add("health", after(served, w.serveHealth))
	}
	if report != nil {
		add("daemon", func(stop <-chan struct{}) error { return report.serve(w, stop) })
	}
	if notifier != nil {
		add("notify", notifier.serve)
	}
	if w.janitor != nil {
		add("janitor", w.janitor.serve)
	}
	if plan.FollowLimits {
		add("limits", after(start.calm, func(stop <-chan struct{}) error { return watchLimits(w.cfg, host, plan.Count, stop) }))
	}
	ended, left := make(chan error, 1), make(chan struct{})
	defer close(left)
	go func() { ended <- group.Run() }()
	select {
	case err := <-ended:
		if err != nil {
			log.write(warnLine("an actor failed", slog.String("error", err.Error())))
		}
	case <-overdue(engine, left):
		log.write(warnLine("leaving although a part of brood does not end"))
	}
	return engine.Outcome().Code
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

// hangUp is what SIGHUP does when no rule says so: with a controlling terminal
// its user has gone, otherwise it is the usual signal to reload. Where it was
// ignored at the start, as by nohup, it never arrives.
func hangUp() fanout.ActionKind {
	if tty.Controlling() {
		return fanout.ActionStop
	}
	return fanout.ActionReload
}

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
			reserveThreads(stop) // for a lone worker it had to wait
		case <-calm:
			calm = nil
			if !w.cfg.hasTasks() {
				tuneRuntime(w.memoryLimit(w.engine.Snapshot().Wanted))
			}
		case <-stop:
			return
		}
	}
}

// decideCount reads the container's limits only if the number depends on them.
func decideCount(cfg *Config, log *logSink) cgroup.Decision {
	var limits cgroup.Limits
	if cfg.Processes.Value.Auto {
		var err error
		if limits, err = cgroup.Read("/", nil); err != nil {
			log.write(warnLine("cannot read all limits of the container", slog.String("error", err.Error())))
		}
	}
	return cfg.count(limits)
}

// leaveDirectory moves brood to "/", so that it pins no mount, and returns where
// the workers start: where brood was started.
func leaveDirectory() string {
	// Not os.Getwd, which believes $PWD: a link on that way may change.
	var path [unix.PathMax]byte
	n, err := unix.Getcwd(path[:])
	if err != nil || os.Chdir("/") != nil {
		return ""
	}
	return string(path[:n-1]) // without the final zero byte
}

// announce logs once what is about to run, and why so.
func announce(log *logSink, cfg *Config, plan fanout.Plan, count cgroup.Decision) {
	attrs := []slog.Attr{slog.Int("pid", os.Getpid())}
	for reason := range strings.FieldsSeq(count.Reason) {
		key, value, _ := strings.Cut(reason, "=")
		attrs = append(attrs, slog.String(key, value))
	}
	if plan.PIDFiles != nil {
		attrs = append(attrs, slog.String("pidfile", plan.PIDFiles.String()))
	}
	attrs = append(attrs, slog.Duration("stop_timeout", plan.Stop.Budget), slog.String("stop_timeout_source", cfg.stopTimeoutSource()))
	log.write(infoLine("starting", attrs...))
	if count.Warning != "" {
		log.write(warnLine(count.Warning))
	}
	if len(plan.Taken) > 0 {
		log.write(infoLine("numbers that registered processes have taken are left out", slog.Int("taken", len(plan.Taken))))
	}
}
