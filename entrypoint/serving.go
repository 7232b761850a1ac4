package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/internal/worldstop"
	"github.com/brood-init/brood/metrics"
	"github.com/brood-init/brood/metrics/scraping"
	"github.com/brood-init/brood/statuspage"
)

// window is what others see of the brood: the control socket and the HTTP
// listener. Neither can hold the engine up.
type window struct {
	cfg    *Config
	log    *logSink
	host   *fanout.Host
	engine *fanout.Engine
	world  worldstop.Schedule

	socket     string                           // where to listen; empty is nowhere
	listener   net.Listener                     // already open, for an address that was asked for
	health     net.Listener                     // the same for --health-addr
	controller *net.UnixListener                // the same for the socket
	listening  atomic.Pointer[net.UnixListener] // on the socket
	control    *control.Server
	table      *metrics.Table
	page       *statuspage.Page
	count      cgroup.Decision
	began      time.Time
	// gatherer is made when it is first needed: it is not cheap, and the first
	// worker goes first.
	gatherer func() *metrics.Gatherer
	scraper  func() *scraping.Scraper // likewise; nil if workers are not asked
	janitor  *janitor                 // nil if nothing is to be cleaned
}

// newWindow opens what was asked for by name: if that cannot be had nothing is
// started. Defaults are opened later, and trouble with them is a warning.
func newWindow(cfg *Config, log *logSink, pattern string, count cgroup.Decision) (*window, error) {
	w := &window{cfg: cfg, log: log, table: metrics.NewTable(), count: count, began: time.Now()}
	w.gatherer = sync.OnceValue(w.newGatherer)
	w.scraper = sync.OnceValue(w.newScraper)
	w.page = w.newPage()
	path, explicit := cfg.controlPath(pattern)
	w.socket = path
	switch {
	case path == "":
	case !explicit:
		control.Tidy(path) // a brood that leaves at once never listens
	default:
		l, err := control.Listen(path)
		if err != nil {
			return nil, &UsageError{Setting: cfg.name(&cfg.Control), Value: path, Remedy: err.Error()}
		}
		w.controller = l
	}
	if err := w.openListeners(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.control = control.NewServer(control.Source{
		Snapshot: func() *fanout.Snapshot { return w.engine.Snapshot() },
		Look:     func(ctx context.Context) { w.host.Look(ctx) },
		Census:   w.census,
		Proc:     proc.FS("").Ours(),
		Serves:   w.serves,
		Alive:    func(ctx context.Context) error { return w.host.Ask(ctx) },
		Reload:   func(answer chan<- error) { w.host.Send(fanout.ReloadAsked{Answer: answer}) },
		Scale:    w.scale,
		Stop:     func() { w.host.Send(fanout.StopAsked{}) },
		Describe: func(ev fanout.Event) (slog.Level, string, []slog.Attr) {
			l := describe(ev)
			return l.level, l.msg, l.attrs
		},
		Attr: utc,
	})
	return w, nil
}

// close gives back what newWindow has opened, when nothing will be served.
func (w *window) close() error {
	var errs []error
	if w.controller != nil {
		errs = append(errs, w.controller.Close())
	}
	for _, l := range []net.Listener{w.listener, w.health} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

func (w *window) serves() error {
	return w.engine.Snapshot().Serves(w.cfg.ReadyMin.Value, w.cfg.MaxUnavailable.Value)
}

// serveControl answers on the control socket until stop is closed.
func (w *window) serveControl(stop <-chan struct{}) error {
	if w.socket == "" {
		return nil
	}
	l := w.controller
	w.controller = nil
	if l == nil {
		var err error
		if l, err = control.Listen(w.socket); err != nil {
			return fmt.Errorf("brood status and health do not work: %w", err)
		}
	}
	w.listening.Store(l)
	return w.control.Serve(l, stop, w.report)
}

// abandonControl removes the socket when its server cannot: on a busy machine it
// may get no CPU in brood's last moment.
func (w *window) abandonControl() {
	if l := w.listening.Load(); l != nil {
		_ = l.Close() // it is closed already
	}
}

// sayWhyLast is the observer that leaves the reasons behind before the last
// line of the log, which nothing follows.
func (w *window) sayWhyLast(_ time.Time, ev fanout.Event) {
	if last, ok := ev.(fanout.Exiting); ok {
		w.sayWhy(last.Outcome)
	}
}

// sayWhy writes down what nobody can ask for any more.
func (w *window) sayWhy(o fanout.Outcome) {
	snapshot, now := w.engine.Snapshot(), time.Now()
	problem := within(leavingTime(snapshot, now), func() {
		if err := w.cfg.writeTermination(terminationOf(o, snapshot, now).message()); err != nil {
			w.log.write(warnLine(err.Error()))
		}
		if err := w.writeFinalMetrics(); err != nil {
			w.log.write(warnLine(err.Error()))
		}
	})
	if problem != nil {
		w.report(problem)
	}
}

func (w *window) newGatherer() *metrics.Gatherer {
	var scrapes metrics.Scrapes
	if s := w.scraper(); s != nil {
		scrapes = s
	}
	return metrics.New(metrics.Options{
		Table:       w.table,
		Workers:     scrapes,
		Snapshot:    w.engine.Snapshot,
		Census:      w.census,
		CountSource: func() cgroup.Source { return w.count.Source },
		Detail:      metrics.Detail(w.cfg.MetricsDetail.Value),
		Build:       metrics.Build{Version: version, Revision: revision(), Go: runtime.Version()},
		Started:     w.began,
		Seen:        func(all []metrics.Figures) { w.page.Seen(time.Now(), pageFigures(all)) },
	})
}

func (w *window) census(maxAge time.Duration) *fanout.Census {
	if w.host == nil {
		return nil
	}
	return w.host.Census(maxAge)
}

func (w *window) report(err error) {
	w.log.write(line{slog.LevelError, "internal error", []slog.Attr{slog.String("error", err.Error())}})
}
