package entrypoint

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/signame"
	"github.com/brood-init/brood/reaper"
)

// line is one log line: one event, one message, stable keys.
type line struct {
	level slog.Level
	msg   string
	attrs []slog.Attr
}

func infoLine(msg string, attrs ...slog.Attr) line  { return line{slog.LevelInfo, msg, attrs} }
func warnLine(msg string, attrs ...slog.Attr) line  { return line{slog.LevelWarn, msg, attrs} }
func debugLine(msg string, attrs ...slog.Attr) line { return line{slog.LevelDebug, msg, attrs} }

// describe says in a line what an event tells. No argv and no environment
// value is in any of them.
func describe(ev fanout.Event) line {
	switch ev := ev.(type) {
	case fanout.PhaseEntered:
		return debugLine("phase", slog.String("phase", string(ev.Phase)))
	case fanout.SlotEntered:
		return debugLine("slot state", slog.Int("slot", ev.Slot), slog.String("from", string(ev.From)), slog.String("to", string(ev.To)))
	case fanout.SignalReceived:
		return debugLine("signal received", signalAttr(ev.Signal), slog.String("action", string(ev.Action)))
	case fanout.SignalForwarded:
		return debugLine("signal forwarded", signalAttr(ev.Signal), slog.Int("workers", ev.Workers))
	case fanout.OrphansAdopted:
		return describeOrphans(ev)
	case fanout.OOMGroupFound:
		return warnLine(oomGroupWarning)
	case fanout.PIDFileRefused:
		return warnLine("PID file refused", slog.String("error", ev.Err.Error()))
	case fanout.RegisteredFound:
		return debugLine("registered process found", registeredAttrs(ev.RegisteredProcess)...)
	case fanout.RegisteredSignalled:
		return infoLine("registered process signalled", append(registeredAttrs(ev.RegisteredProcess), signalAttr(ev.Signal))...)
	case fanout.RegisteredEnded:
		return infoLine("registered process ended", registeredAttrs(ev.RegisteredProcess)...)
	case fanout.HookStarted, fanout.HookFinished, fanout.HookDropped:
		return describeHook(ev)
	case fanout.WaitingForRegistered:
		return infoLine("all workers have completed, waiting for registered processes", slog.Int("processes", ev.Processes))
	case fanout.StopBegan, fanout.StopSignalSent, fanout.StopHastened, fanout.StillRunning, fanout.GraceOver,
		fanout.StragglersSignalled, fanout.Abandoned, fanout.Exiting, fanout.Panicked:
		return describeStop(ev)
	}
	return describeWorker(ev)
}

// describeOrphans has all of them in codes, those that a signal has ended as a
// shell has it.
func describeOrphans(ev fanout.OrphansAdopted) line {
	codes := maps.Clone(ev.Codes)
	if codes == nil {
		codes = make(map[int]int)
	}
	for sig, n := range ev.Signals {
		codes[reaper.Status{Signal: syscall.Signal(sig)}.ExitCode()] += n
	}
	attrs := []slog.Attr{slog.Int("count", ev.Count), slog.String("codes", counts(codes)), slog.String("slots", counts(ev.Origins.Slots))}
	if ev.OOMKills > 0 {
		return warnLine("orphans reaped, some were killed for lack of memory", append(attrs, slog.Uint64("oom_kills", ev.OOMKills))...)
	}
	return debugLine("orphans reaped", attrs...)
}

func describeWorker(ev fanout.Event) line {
	switch ev := ev.(type) {
	case fanout.WorkerStarted:
		attrs := []slog.Attr{slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), slog.Int("incarnation", ev.Incarnation)}
		if ev.Leader {
			attrs = append(attrs, slog.Bool("leader", true))
		}
		return infoLine("worker started", attrs...)
	case fanout.WorkerReady:
		return debugLine("worker ready", slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), dur(ev.After))
	case fanout.WorkerExited:
		attrs := []slog.Attr{slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), slog.Int("code", ev.ExitCode())}
		if ev.Signal != 0 {
			attrs = append(attrs, signalAttr(ev.Signal))
		}
		attrs = append(attrs, slog.String("reason", string(ev.Reason)), dur(ev.Uptime))
		if ev.OOMKills > 0 {
			attrs = append(attrs, slog.Uint64("oom_kills", ev.OOMKills))
		}
		if ev.Words != nil {
			attrs = append(attrs, slog.String("last", ev.Words.Line))
		}
		if ev.Reason == fanout.ReasonCompleted || ev.Reason == fanout.ReasonStopped {
			return infoLine("worker exited", attrs...)
		}
		return warnLine("worker exited", attrs...)
	case fanout.WorkerStartFailed:
		return warnLine("worker not started", slog.Int("slot", ev.Slot), slog.Int("code", ev.Code), slog.String("error", startError(ev.Err)))
	case fanout.BackingOff:
		attrs := []slog.Attr{slog.Int("slot", ev.Slot), slog.Duration("delay", ev.Delay.Round(time.Millisecond)), slog.Int("failures", ev.Failures)}
		if ev.Failed {
			return warnLine("slot failed, retrying at the longest delay", attrs...)
		}
		return infoLine("restarting worker", attrs...)
	case fanout.SlotDone:
		if ev.Others > 0 {
			return warnLine("worker completed while others run", slog.Int("slot", ev.Slot), slog.Int("others", ev.Others))
		}
		return infoLine("slot completed", slog.Int("slot", ev.Slot))
	case fanout.SlotTaken:
		return warnLine("slot number is taken by a registered process, skipped", slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID))
	case fanout.WorkerTold, fanout.WorkerUnready, fanout.WorkerStatus, fanout.WorkerExtended, fanout.NotificationRefused, fanout.ProbeEnded, fanout.ProbeFailed, fanout.WorkerStuck, fanout.TooMuchMemory:
		return describeCare(ev)
	case fanout.SlotReplaced, fanout.ReplacementFailed, fanout.ReloadBegan, fanout.ReloadEnded, fanout.Scaled, fanout.ScaleRefused, fanout.LimitChanged:
		return describeChange(ev)
	case fanout.LeftoversFound:
		attrs := []slog.Attr{slog.Int("slot", ev.Slot), slog.Int("pgid", ev.PID)}
		if ev.Signal == 0 {
			return infoLine("worker left processes behind, kept", attrs...)
		}
		return infoLine("ending what the worker left behind", append(attrs, signalAttr(ev.Signal))...)
	}
	return debugLine("unknown event")
}

func describeHook(ev fanout.Event) line {
	switch ev := ev.(type) {
	case fanout.HookStarted:
		return debugLine("hook started", hookAttrs(ev.Hook, ev.Slot, slog.Int("pid", ev.PID))...)
	case fanout.HookFinished:
		attrs := hookAttrs(ev.Hook, ev.Slot)
		if ev.PID != 0 {
			attrs = append(attrs, slog.Int("pid", ev.PID))
		}
		attrs = append(attrs, slog.Int("code", ev.Code), dur(ev.Duration))
		switch {
		case ev.Err != nil:
			return warnLine("hook not started", append(attrs, slog.String("error", startError(ev.Err)))...)
		case ev.Asked && !ev.TimedOut:
			return infoLine("hook stopped", attrs...)
		case ev.TimedOut:
			return warnLine("hook timed out", attrs...)
		case ev.Code != 0 && ev.Fault != nil:
			return warnLine("hook failed", append(attrs, slog.String("error", ev.Fault.Error()))...)
		case ev.Code != 0:
			return warnLine("hook failed", attrs...)
		case ev.Hook == fanout.KindExitHook:
			return debugLine("hook finished", attrs...)
		}
		return infoLine("hook finished", attrs...)
	case fanout.HookDropped:
		if ev.Late {
			return warnLine("hook dropped, the time of the stop is over", hookAttrs(fanout.KindExitHook, ev.Slot)...)
		}
		return warnLine("hook dropped, too many are waiting", hookAttrs(fanout.KindExitHook, ev.Slot)...)
	}
	return debugLine("unknown event")
}

func describeStop(ev fanout.Event) line {
	switch ev := ev.(type) {
	case fanout.StopBegan:
		attrs := []slog.Attr{slog.String("reason", string(ev.Reason)), signalAttr(ev.Signal)}
		if ev.Arrived != 0 && ev.Arrived != ev.Signal {
			attrs = append(attrs, slog.String("arrived", signame.Name(ev.Arrived)))
		}
		return infoLine("stopping", append(attrs,
			slog.Duration("budget", ev.Schedule.Budget), slog.Duration("drain", ev.Schedule.Drain),
			slog.Duration("grace", ev.Schedule.Grace))...)
	case fanout.StopSignalSent:
		return infoLine("drain delay over", signalAttr(ev.Signal), slog.Int("workers", ev.Workers))
	case fanout.StopHastened:
		return warnLine("hastened by another stop signal", slog.String("phase", string(ev.Phase)))
	case fanout.StillRunning:
		attrs := []slog.Attr{slog.String("kind", string(ev.Kind)), slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), slog.String("comm", ev.Comm), slog.String("state", string(rune(ev.State)))}
		if ev.ShellChild != 0 {
			attrs = append(attrs, slog.String("hint", "a shell waiting for child "+strconv.Itoa(ev.ShellChild)+": use exec or --group"))
		}
		return warnLine("still running at half the grace", attrs...)
	case fanout.GraceOver:
		return warnLine("grace over, killing", slog.Int("workers", ev.Workers), slog.Int("registered", ev.Registered))
	case fanout.StragglersSignalled:
		l := infoLine("ending stragglers", signalAttr(ev.Signal), slog.String("left", stragglers(ev.Left)))
		if ev.Signal == syscall.SIGKILL {
			l.level = slog.LevelWarn
		}
		return l
	case fanout.Abandoned:
		return warnLine("left behind", slog.String("what", ev.What))
	case fanout.Panicked:
		return line{slog.LevelError, "internal error", []slog.Attr{slog.Any("panic", ev.Value), slog.String("stack", string(ev.Stack))}}
	case fanout.Exiting:
		attrs := []slog.Attr{slog.Int("code", ev.Code), slog.String("reason", string(ev.Reason))}
		if ev.Slot != 0 {
			attrs = append(attrs, slog.Int("slot", ev.Slot))
		}
		if ev.Hook != "" {
			attrs = append(attrs, slog.String("hook", string(ev.Hook)))
		}
		return infoLine("exiting", attrs...)
	}
	return debugLine("unknown event")
}

func signalAttr(s syscall.Signal) slog.Attr { return slog.String("signal", signame.Name(s)) }

func dur(d time.Duration) slog.Attr { return slog.Duration("dur", d.Round(time.Millisecond)) }

func registeredAttrs(p fanout.RegisteredProcess) []slog.Attr {
	return []slog.Attr{slog.Int("index", p.Index), slog.Int("pid", p.PID), slog.String("comm", p.Comm)}
}

func hookAttrs(hook fanout.Kind, slot int, more ...slog.Attr) []slog.Attr {
	attrs := []slog.Attr{slog.String("hook", string(hook))}
	if slot != 0 {
		attrs = append(attrs, slog.Int("slot", slot))
	}
	return append(attrs, more...)
}

// startError adds what helps to an error whose cause lies in a limit.
func startError(err error) string {
	if strings.Contains(err.Error(), syscall.EAGAIN.Error()) {
		return err.Error() + " (a limit on processes was reached: pids.max of the container or RLIMIT_NPROC)"
	}
	return err.Error()
}

// counts prints a table of codes in order: 0:12 3:1.
func counts(m map[int]int) string {
	var b strings.Builder
	for _, code := range slices.Sorted(maps.Keys(m)) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(code) + ":" + strconv.Itoa(m[code]))
	}
	return b.String()
}

// stragglers names the first few: pid(comm).
func stragglers(left []fanout.Straggler) string {
	const most = 8
	var b strings.Builder
	for i, s := range left {
		if i == most {
			b.WriteString(" and " + strconv.Itoa(len(left)-most) + " more")
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(s.PID) + "(" + s.Comm + ")")
	}
	return b.String()
}
