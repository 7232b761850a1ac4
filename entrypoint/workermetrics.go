package entrypoint

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/probe"
	"github.com/brood-init/brood/metrics/merge"
	"github.com/brood-init/brood/metrics/scraping"
)

// parseWorkerMetrics reads where a worker has a page of metrics.
func parseWorkerMetrics(text string) (*probe.Probe, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == none {
		return nil, nil
	}
	return probe.ParsePage(text)
}

// newScraper returns who asks the workers for their own pages, nil if nobody
// does.
func (w *window) newScraper() *scraping.Scraper {
	page := w.cfg.WorkerMetrics.Value
	if page == nil {
		return nil
	}
	return scraping.New(scraping.Options{
		Page:    page,
		Targets: func() []scraping.Target { return scrapeTargets(w.engine.Snapshot()) },
		Rules:   merge.Rules{Label: "worker", Reserved: reservedMetric},
		Missing: func(t scraping.Target, reason string, err error) {
			w.log.write(warnLine("metrics of a worker are missing", slog.Int("slot", t.Slot), slog.String("reason", reason), slog.String("error", err.Error())))
		},
		Panicked: func(value any, stack []byte) {
			w.report(fmt.Errorf("cannot merge the workers' metrics: internal error: %v\n%s", value, stack))
		},
	})
}

// scrapeTargets are the workers that are ready: another may not listen yet, or
// not any more.
func scrapeTargets(s *fanout.Snapshot) []scraping.Target {
	targets := make([]scraping.Target, 0, len(s.Slots))
	for _, v := range s.Slots {
		if v.State != fanout.SlotReady || v.PID == 0 {
			continue
		}
		targets = append(targets, scraping.Target{
			Slot: v.Slot, Incarnation: v.Incarnation,
			Place: expand.Values{Slot: v.Slot, Index: v.Slot - 1, Count: s.Wanted},
		})
	}
	return targets
}

// reservedMetric reports whether a family is brood's own, or one that Prometheus
// makes itself for what it scrapes.
func reservedMetric(name string) bool {
	return name == "up" || strings.HasPrefix(name, "scrape_") || strings.HasPrefix(name, "brood_")
}
