package entrypoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/pidfiles"
)

// startReport is what a daemon says once to whoever has started it.
type startReport struct {
	OK      bool   `json:"ok"`
	Workers int    `json:"workers"`
	Code    int    `json:"code"`  // of the daemon, when it has not started
	Error   string `json:"error"` // why
	// Began says that its engine ran, Completed that its work was done.
	Began     bool `json:"began"`
	Completed bool `json:"completed"`
	// Taken says that another one runs.
	Taken bool `json:"taken"`
	// NotPermitted says that the system has refused something.
	NotPermitted bool `json:"not_permitted"`
}

// success is the line for a start that went well.
func (s startReport) success() string {
	switch {
	case s.Completed:
		return "started, and all workers have completed"
	case s.Workers == 1:
		return "started, 1 worker"
	}
	return fmt.Sprintf("started, %d workers", s.Workers)
}

// startReporter is the daemon's side of its start.
type startReporter struct {
	mu sync.Mutex
	to *os.File // nil once it was said
	// trouble is the last warning, which is the best reason there is if the
	// daemon ends.
	trouble string
}

func newStartReporter(to *os.File) *startReporter {
	if to == nil {
		return nil
	}
	return &startReporter{to: to}
}

// say reports once. It does not block: the pipe is empty.
func (r *startReporter) say(s startReport) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == nil {
		return
	}
	text, err := json.Marshal(s)
	if err == nil {
		_, _ = r.to.Write(append(text, '\n')) // whoever has started us may have gone
	}
	_ = r.to.Close()
	r.to = nil
}

// readReport is the other side of say. Why a start has failed is one line, whatever
// the system's words for it are.
func readReport(from io.Reader) (s startReport, said bool) {
	said = json.NewDecoder(from).Decode(&s) == nil
	s.Error = oneLine(s.Error)
	return s, said
}

// failed reports that nothing was started.
func (r *startReporter) failed(err error) {
	r.say(startReport{
		Code: exitCode(err), Error: err.Error(),
		Taken: errors.Is(err, pidfiles.ErrMasterAlive), NotPermitted: lsbCode(err) == codeDaemonNotPermitted,
	})
}

// observe keeps the last trouble, and says that the daemon ends.
func (r *startReporter) observe(_ time.Time, ev fanout.Event) {
	last, exiting := ev.(fanout.Exiting)
	if !exiting {
		if l := describe(ev); l.level >= slog.LevelWarn {
			r.mu.Lock()
			r.trouble = l.text()
			r.mu.Unlock()
		}
		return
	}
	r.mu.Lock()
	trouble := r.trouble
	r.mu.Unlock()
	if last.Code == 0 && last.Reason == fanout.ReasonCompleted {
		r.say(startReport{OK: true, Completed: true})
		return
	}
	why := "it has ended with code " + fmt.Sprint(last.Code) + ", reason " + string(last.Reason)
	if trouble != "" {
		why += ": " + trouble
	}
	r.say(startReport{Began: true, Code: last.Code, Error: why})
}

// text is the line for a person: no time, no level.
func (l line) text() string {
	var b strings.Builder
	b.WriteString(l.msg)
	for _, a := range l.attrs {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
	}
	return oneLine(b.String())
}

// serve waits until all workers have been ready, and reports it. When that
// takes longer than a worker may take, the start has failed, and the daemon ends.
func (r *startReporter) serve(w *window, stop <-chan struct{}) error {
	const often = 20 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	var deadline time.Time // from when workers are started
	for {
		select {
		case <-tick.C:
		case <-stop:
			return nil
		}
		s := w.engine.Snapshot()
		switch {
		case s.Phase != fanout.PhaseRunning:
			continue
		case s.AllBeen || s.Wanted == 0:
			r.say(startReport{OK: true, Workers: s.Wanted})
			return nil
		case deadline.IsZero():
			deadline = time.Now().Add(w.cfg.ReadyTimeout.Value)
		case time.Now().After(deadline):
			why := fmt.Sprintf("%d of %d workers are ready after %s", s.Ready, s.Wanted, w.cfg.ReadyTimeout.Value)
			r.mu.Lock()
			if r.trouble != "" {
				why += ": " + r.trouble
			}
			r.mu.Unlock()
			r.say(startReport{Began: true, Code: codeDaemonFailed, Error: why})
			w.host.Send(fanout.StopAsked{})
			return nil
		}
	}
}
