package entrypoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/lookpath"
)

// mostTermination is what the kubelet reads of the file at most.
const mostTermination = 4096

// The termination message is a line for people and a line of JSON. Whoever may
// see the pod reads it, which are more than those who read the log: no argv, no
// environment and no value of a setting is in it.
type termination struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	// Slot is the worker that decided, Hook the hook, Setting the setting.
	Slot    int    `json:"slot,omitempty"`
	Hook    string `json:"hook,omitempty"`
	Setting string `json:"setting,omitempty"`
	// Error is why what decided could not be started, or the setting not be used.
	Error         string  `json:"error,omitempty"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	// Started counts the workers that were started; Restarts are those of them
	// that were not the first of their slot.
	Started  int          `json:"workers_started"`
	Restarts int          `json:"restarts,omitempty"`
	Worker   *endOfWorker `json:"worker,omitempty"`
}

// endOfWorker is how the last process of the slot that decided has ended.
type endOfWorker struct {
	Code          int      `json:"code"`
	Signal        string   `json:"signal,omitempty"`
	Reason        string   `json:"reason"`
	UptimeSeconds float64  `json:"uptime_seconds"`
	OOMKills      uint64   `json:"oom_kills,omitempty"`
	LastLine      string   `json:"last_line,omitempty"`
	LastLines     []string `json:"last_lines,omitempty"`
}

// terminationOf is what the end of a brood leaves behind.
func terminationOf(o fanout.Outcome, s *fanout.Snapshot, now time.Time) termination {
	t := termination{Code: o.Code, Reason: string(o.Reason), Slot: o.Slot, Hook: string(o.Hook), Error: whyNotStarted(o.Err)}
	if !s.Began.IsZero() {
		t.UptimeSeconds = milliseconds(now.Sub(s.Began))
	}
	for _, v := range s.Slots {
		t.Started += v.Incarnation
		t.Restarts += max(0, v.Incarnation-1)
		if v.Slot == o.Slot && v.Last != nil && o.Err == nil {
			t.Worker = endOf(v.Last)
		}
	}
	return t
}

func endOf(l *fanout.LastExit) *endOfWorker {
	w := &endOfWorker{
		Code: l.Code, Signal: l.Signal, Reason: string(l.Reason),
		UptimeSeconds: milliseconds(l.Uptime), OOMKills: l.OOMKills,
	}
	if l.Words != nil {
		w.LastLine, w.LastLines = l.Words.Line, l.Words.Lines
	}
	return w
}

// terminationOfError is for a brood that has not come to start anything. The
// texts of its errors quote what was given, so only the setting is named.
func terminationOfError(err error, rows []bound) termination {
	t := termination{Code: exitCode(err), Reason: string(fanout.ReasonInternal)}
	if usage, ok := errors.AsType[*UsageError](err); ok {
		t.Reason = string(fanout.ReasonUsage)
		name, _, _ := strings.Cut(usage.Setting, " in ")
		for _, row := range rows {
			if name == row.variable() || name == "--"+row.name {
				t.Setting = name
			}
		}
	}
	return t
}

// message fits into mostTermination: what gives way are the last lines, the
// oldest first.
func (t termination) message() []byte {
	for {
		var b bytes.Buffer
		b.WriteString(t.text() + "\n")
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(t)
		switch {
		case err == nil && b.Len() <= mostTermination:
			return b.Bytes()
		case t.Worker == nil || len(t.Worker.LastLines) == 0:
			return b.Bytes()[:min(b.Len(), mostTermination)]
		}
		shorter := *t.Worker
		shorter.LastLines = shorter.LastLines[1:]
		t.Worker = &shorter
	}
}

// text is the line for people.
func (t termination) text() string {
	text := ours + strconv.Itoa(t.Code) + ": " + t.Reason
	switch {
	case t.Slot != 0:
		text += ", decided by the worker in slot " + strconv.Itoa(t.Slot)
	case t.Hook != "":
		text += ", decided by the " + t.Hook + " hook"
	case t.Setting != "":
		text += ": " + t.Setting + ", the log says more"
	}
	if t.Error != "" {
		text += ": " + t.Error
	}
	if t.Started == 0 {
		text += "; no worker was started"
	}
	w := t.Worker
	if w == nil {
		return text
	}
	if t.Restarts > 0 {
		text += ", after " + count(t.Restarts, "restart")
	}
	if w.OOMKills > 0 {
		text += "; the kernel had killed " + count(int(w.OOMKills), "process") + " of the container for lack of memory"
	}
	if w.LastLine != "" {
		text += ": " + w.LastLine
	}
	return text
}

// ours begins every message of a brood.
const ours = "brood: exiting with code "

func count(n int, what string) string {
	text := strconv.Itoa(n) + " " + what
	switch {
	case n == 1:
		return text
	case strings.HasSuffix(what, "s"):
		return text + "es"
	}
	return text + "s"
}

func milliseconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// whyNotStarted leaves out what a start's error names: the command is argv[0].
func whyNotStarted(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.Is(err, lookpath.ErrNotFound):
		return "the command was not found"
	case errors.Is(err, lookpath.ErrNotExecutable):
		return "the command cannot be executed"
	case errors.As(err, &errno):
		return "the command cannot be executed: " + errno.Error()
	}
	return "the command could not be started"
}
