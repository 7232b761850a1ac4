package entrypoint

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/httpd"
	"github.com/brood-init/brood/internal/webconfig"
	"github.com/brood-init/brood/metrics"
	"github.com/brood-init/brood/statuspage"
)

// openListeners opens what was asked for by name, and refuses what would not be
// protected as was asked for.
func (w *window) openListeners() error {
	if err := w.cfg.checkWebConfig(); err != nil {
		return err
	}
	if w.cfg.WebConfigFile.Value != "" && !webconfig.Protects(w.cfg.WebConfigFile.Value) {
		w.log.write(warnLine("the web configuration asks for neither TLS nor passwords", slog.String("file", w.cfg.WebConfigFile.Value)))
	}
	var err error
	if w.listener, err = w.listen(&w.cfg.MetricsAddr); err != nil {
		return err
	}
	w.health, err = w.listen(&w.cfg.HealthAddr)
	return err
}

func (w *window) listen(address *value[string]) (net.Listener, error) {
	if address.Value == "" || !address.Source.Explicit() {
		return nil, nil
	}
	l, err := net.Listen("tcp", address.Value)
	if err != nil {
		return nil, &UsageError{
			Setting: w.cfg.name(address), Value: address.Value,
			Remedy: listenError(err) + "; choose another address, or none",
		}
	}
	return l, nil
}

// checkWebConfig refuses a file that this binary cannot use.
func (c *Config) checkWebConfig() error {
	path := c.WebConfigFile.Value
	if path == "" {
		return nil
	}
	err := webconfig.Check(path)
	if err == nil {
		return nil
	}
	remedy := err.Error()
	if errors.Is(err, webconfig.ErrNotLinked) {
		remedy += "; take one that has them (make binaries, or --build-arg TAGS=" + webconfig.Tag + " for the image), or leave it out"
	}
	return &UsageError{Setting: c.name(&c.WebConfigFile), Value: path, Remedy: remedy}
}

// serveHTTP answers on --metrics-addr until stop is closed.
func (w *window) serveHTTP(stop <-chan struct{}) error {
	if w.cfg.MetricsAddr.Value == "" {
		return nil
	}
	l := w.listener
	w.listener = nil
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", w.cfg.MetricsAddr.Value); err != nil {
			return fmt.Errorf("no metrics are served: %s; set --metrics-addr to another address, or none", listenError(err))
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(w.gatherer(), metrics.HandlerOptions{
		Table:   w.table,
		Workers: w.scraper(),
		Panicked: func(value any, stack []byte) {
			w.report(fmt.Errorf("cannot make the page of metrics: internal error: %v\n%s", value, stack))
		},
	}))
	mux.Handle("GET /{$}", w.page)
	w.addHealth(mux)
	options := httpd.Options{Report: w.report}
	if path := w.cfg.WebConfigFile.Value; path != "" {
		options.Requests = webconfig.Requests
		options.Through = webconfig.Through(path, func(err error) {
			w.log.write(warnLine("clients are refused until the web configuration is good again", slog.String("error", err.Error())))
		})
	}
	return httpd.Serve(l, mux, options, stop)
}

// serveHealth answers on --health-addr until stop is closed.
func (w *window) serveHealth(stop <-chan struct{}) error {
	l := w.health
	w.health = nil
	if l == nil { // it has failed before
		var err error
		if l, err = net.Listen("tcp", w.cfg.HealthAddr.Value); err != nil {
			return fmt.Errorf("probes are not answered at --health-addr: %s", listenError(err))
		}
	}
	mux := http.NewServeMux()
	w.addHealth(mux)
	return httpd.Serve(l, mux, httpd.Options{Report: w.report}, stop)
}

func (w *window) addHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /readyz", control.Readyz(w.serves))
	mux.HandleFunc("GET /livez", control.Livez(w.host.Ask))
}

func (w *window) newPage() *statuspage.Page {
	return statuspage.New(statuspage.Source{
		Snapshot: func() *fanout.Snapshot { return w.engine.Snapshot() },
		Figures:  func() []statuspage.Figures { return pageFigures(w.table.Figures("", 0)) },
		Serves:   w.serves,
		Reason:   w.count.Reason,
		Version:  version,
	})
}

// pageFigures is what the page takes of the figures of metrics, which it does
// not know.
func pageFigures(all []metrics.Figures) []statuspage.Figures {
	figures := make([]statuspage.Figures, len(all))
	for i, f := range all {
		figures[i] = statuspage.Figures(f)
	}
	return figures
}

func listenError(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return "cannot listen on " + op.Addr.String() + ": " + op.Err.Error()
	}
	return err.Error()
}
