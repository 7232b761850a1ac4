package entrypoint

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

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
	becomeSubreaper(log)
	count := decideCount(cfg, log)
	plan, err := cfg.Plan(count.N)
	if err != nil {
		return 0, err
	}
	plan.Signals = signalTable(cfg.Signal.Value, hangUp())
	processes := ownProcesses(log)
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
	w, err := newWindow(cfg, log, reg.ownPattern(), count)
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
	if plan.Foreground = plan.InheritStdin && stdin.Fd() == 0 && tty.IsControlling(0); plan.Foreground {
		// A shell may stop and resume us at any moment, and the worker with us.
		sig.take(unix.SIGCONT)
		sig.take(unix.SIGTSTP)
	}
	host, err := fanout.NewHost(fanout.HostOptions{
		Dir: reg.dir, Master: reg.master, WorkingDirectory: cwd, Proc: processes,
		Terminal: plan.Foreground, Reported: reported, Dress: dress, World: &w.world,
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

// becomeSubreaper has orphans of the workers come to brood, PID 1 or not. Linux 3.4.
func becomeSubreaper(log *logSink) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil && os.Getpid() != 1 {
		log.write(warnLine("orphans of the workers will not be reaped here: cannot become a subreaper", slog.String("error", err.Error())))
	}
}

// ownProcesses is the /proc of this PID namespace, or proc.None.
func ownProcesses(log *logSink) proc.FS {
	processes := proc.FS("").Ours()
	if processes == proc.None {
		log.write(warnLine("there is no /proc of this PID namespace: PID files are not acted on, and stragglers are found by PID 1 only"))
	}
	return processes
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
