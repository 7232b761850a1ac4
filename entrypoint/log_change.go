package entrypoint

import (
	"log/slog"
	"syscall"

	"github.com/brood-init/brood/fanout"
)

// describeCare says what brood does about a worker that runs.
func describeCare(ev fanout.Event) line {
	switch ev := ev.(type) {
	case fanout.WorkerTold:
		l := infoLine("ending worker", slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), signalAttr(ev.Signal), slog.String("why", ev.Why))
		if ev.Signal == syscall.SIGKILL {
			l.level = slog.LevelWarn
		}
		return l
	case fanout.WorkerUnready:
		attrs := []slog.Attr{slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), dur(ev.After)}
		return warnLine("worker not ready in time", appendError(attrs, ev.Err)...)
	case fanout.WorkerStatus:
		return debugLine("worker status", slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), slog.String("status", ev.Status))
	case fanout.WorkerExtended:
		return infoLine("worker takes longer to end", slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), dur(ev.InAll))
	case fanout.NotificationRefused:
		return debugLine("notification refused", slog.String("error", ev.Err.Error()))
	case fanout.ProbeEnded:
		return debugLine("probe ended", slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), slog.Int("code", ev.ExitCode()))
	case fanout.ProbeFailed:
		return warnLine("worker does not answer", appendError([]slog.Attr{slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), slog.Int("times", ev.InARow)}, ev.Err)...)
	case fanout.WorkerStuck:
		return warnLine("worker is stuck", appendError([]slog.Attr{slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID)}, ev.Err)...)
	case fanout.TooMuchMemory:
		return infoLine("worker has grown too big", slog.Int("slot", ev.Slot), slog.Int("pid", ev.PID), slog.Uint64("rss", ev.RSS), slog.Uint64("max_rss", ev.Bound))
	}
	return debugLine("unknown event")
}

// describeChange says how the brood as a whole changes.
func describeChange(ev fanout.Event) line {
	switch ev := ev.(type) {
	case fanout.SlotReplaced:
		return infoLine("worker replaced", slog.Int("slot", ev.Slot), slog.String("cause", string(ev.Cause)))
	case fanout.ReplacementFailed:
		return warnLine("replacement failed", slog.Int("slot", ev.Slot), slog.String("cause", string(ev.Cause)), slog.String("error", ev.Why))
	case fanout.ReloadBegan:
		if ev.Down {
			return warnLine("reloading: the service is down for a moment, because there is one worker", slog.Int("workers", ev.Slots))
		}
		return infoLine("reloading", slog.Int("workers", ev.Slots))
	case fanout.ReloadEnded:
		attrs := []slog.Attr{slog.Int("replaced", ev.Replaced), slog.Int("of", ev.Slots), dur(ev.Took)}
		if ev.Err != nil {
			return warnLine("reload failed", appendError(attrs, ev.Err)...)
		}
		return infoLine("reloaded", attrs...)
	case fanout.Scaled:
		return infoLine("scaling", slog.Int("from", ev.From), slog.Int("to", ev.To), slog.String("cause", ev.Cause))
	case fanout.ScaleRefused:
		return warnLine(ev.Err.Error())
	case fanout.LimitChanged:
		return infoLine("limits changed", slog.Int("from", ev.From), slog.Int("to", ev.To), slog.String("because", ev.Reason), slog.Bool("followed", ev.Followed))
	}
	return debugLine("unknown event")
}

func appendError(attrs []slog.Attr, err error) []slog.Attr {
	if err == nil {
		return attrs
	}
	return append(attrs, slog.String("error", err.Error()))
}
