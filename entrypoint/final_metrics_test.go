package entrypoint

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
)

// idle is a system in which nothing ever starts.
type idle struct {
	fanout.System
	in chan fanout.Input
}

func (idle) Start(fanout.Launch) {}
func (idle) DiscardStarts()      {}
func (idle) KillAll()            {}
func (s idle) Cleanup()          { s.in <- fanout.CleanedUp{} }

func newTestWindow(t *testing.T, cfg *Config, log *logSink) *window {
	t.Helper()
	cfg.Control.Value = nowhere
	w, err := newWindow(cfg, log, "", cgroup.Decision{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAMistakeInTheEngineIsLeftInWriting(t *testing.T) {
	dir := t.TempDir()
	cfg := newConfig(Program{})
	cfg.TerminationLog.Value, cfg.FinalMetrics.Value = filepath.Join(dir, "message"), filepath.Join(dir, "page.prom")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	log := newLogSink(int(null.Fd()), false, slog.LevelInfo)
	defer log.close()

	w := newTestWindow(t, cfg, log)
	system := idle{in: make(chan fanout.Input, 8)}
	mistake := func(_ time.Time, ev fanout.Event) {
		if _, ok := ev.(fanout.PhaseEntered); ok {
			panic("a mistake")
		}
	}
	w.engine = fanout.New(fanout.Plan{Count: 1, Stop: fanout.Schedule{Budget: time.Second}}, system, system.in, w.sayWhyLast, w.table.Observe, mistake)
	if o := w.engine.Run(); o.Code != fanout.CodeInternal {
		t.Errorf("the outcome is %+v", o)
	}

	message, _ := os.ReadFile(cfg.TerminationLog.Value)
	if !strings.Contains(string(message), `{"code":125,"reason":"internal",`) {
		t.Errorf("the message is %q", message)
	}
	page, _ := os.ReadFile(cfg.FinalMetrics.Value)
	if !strings.Contains(string(page), "\nbrood_panics_total 1\n") {
		t.Errorf("the page tells of no mistake: %d bytes", len(page))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestALastPageThatCannotBeWrittenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	cfg := newConfig(Program{})
	w := newTestWindow(t, cfg, nil)
	w.engine = fanout.New(fanout.Plan{}, nil, nil)
	for _, path := range []string{filepath.Join(dir, "missing", "page.prom"), dir} {
		cfg.FinalMetrics.Value = path
		if err := w.writeFinalMetrics(); err == nil || !strings.Contains(err.Error(), "--final-metrics") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
