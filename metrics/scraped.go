package metrics

import (
	dto "github.com/prometheus/client_model/go"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/metrics/scraping"
)

// Scrapes tells how asking the workers went, as a scraping.Scraper does.
type Scrapes interface {
	// Last is what the last round has found, by ascending slot.
	Last() []scraping.Result
	// Failed and Dropped count since brood has started, by scraping.Failures
	// and scraping.Drops.
	Failed() []uint64
	Dropped() []uint64
}

// scrapedSeries are about the workers' own pages. They are made with the first
// page if workers are asked at all.
type scrapedSeries struct {
	dropped, failures []series
	rows              map[int]*scrapedRow
}

// scrapedRow are the metrics of a slot.
type scrapedRow struct{ up, duration, samples series }

func newScrapedSeries(f *families) *scrapedSeries {
	all := &scrapedSeries{
		dropped: make([]series, len(scraping.Drops())), failures: make([]series, len(scraping.Failures())),
		rows: make(map[int]*scrapedRow),
	}
	f.enumerated(all.dropped, scrapeDropped, values(scrapeDropped, "reason"))
	f.enumerated(all.failures, scrapeFailures, values(scrapeFailures, "reason"))
	return all
}

// scraped puts what the last round has found about workers that are still the
// same: on the last page of a brood that ends there are none.
func (g *Gatherer) scraped(s *fanout.Snapshot) {
	workers := g.options.Workers
	if workers == nil {
		return
	}
	for i, n := range workers.Dropped() {
		g.scrapes.dropped[i].put(float64(n))
	}
	for i, n := range workers.Failed() {
		g.scrapes.failures[i].put(float64(n))
	}
	if s == nil {
		return
	}
	slots := s.Slots
	for _, r := range workers.Last() {
		for len(slots) > 0 && slots[0].Slot < r.Slot {
			slots = slots[1:]
		}
		if len(slots) == 0 {
			return
		}
		if v := slots[0]; v.Slot != r.Slot || v.Incarnation != r.Incarnation || v.PID == 0 {
			continue
		}
		row := g.scrapedRow(r.Slot)
		row.up.put(truth(r.Up))
		row.duration.put(r.Took.Seconds())
		row.samples.put(float64(r.Samples))
	}
}

func (g *Gatherer) scrapedRow(slot int) *scrapedRow {
	row := g.scrapes.rows[slot]
	if row == nil {
		w := g.workerLabel(slot)
		row = &scrapedRow{up: g.series(scrapeUp, w), duration: g.series(scrapeDuration, w), samples: g.series(scrapeSamples, w)}
		g.scrapes.rows[slot] = row
	}
	return row
}

// workerLabel is the label of a slot, shared by its metrics.
func (g *Gatherer) workerLabel(slot int) *dto.LabelPair { return g.row(slot).label }
