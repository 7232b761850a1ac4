package statuspage

import (
	"strconv"
	"time"

	"github.com/brood-init/brood/fanout"
)

const (
	// mostRows is how many workers have a row; of more, those that need to be
	// looked at come first.
	mostRows = 128
	// mostDots is how many have a dot in the overview.
	mostDots = 1024
	// fewDots is up to how many workers the table itself is overview enough.
	fewDots = 8
)

// overview is one dot for each worker. The table says the same, and more.
func (v *view) overview() {
	if len(v.Slots) <= fewDots {
		return
	}
	v.raw(`<div class="dots" aria-hidden="true">`)
	for _, s := range v.Slots[:min(len(v.Slots), mostDots)] {
		v.raw(`<i class="`, stateClass(s.State), `"></i>`)
	}
	v.raw(`</div>`)
}

// stateClass is the state as a class of the style sheet, which is one of its
// words whatever the state is.
func stateClass(s fanout.SlotState) string {
	switch s {
	case fanout.SlotStarting, fanout.SlotReady, fanout.SlotStopping, fanout.SlotBackoff, fanout.SlotCompleted, fanout.SlotFailed:
		return string(s)
	}
	return "unknown"
}

// rows are the slots that have a row.
func (v *view) rows() []*fanout.SlotView {
	if len(v.Slots) <= mostRows {
		return v.Slots
	}
	shown := make([]*fanout.SlotView, 0, mostRows)
	for _, ready := range []bool{false, true} {
		for _, s := range v.Slots {
			if (s.State == fanout.SlotReady) == ready && len(shown) < mostRows {
				shown = append(shown, s)
			}
		}
	}
	return shown
}

func (v *view) workers() {
	rows := v.rows()
	v.raw(`<table class="workers" role="table"><caption>Workers`)
	if len(rows) < len(v.Slots) {
		v.raw(` <small>`)
		v.text(strconv.Itoa(len(rows)) + " of " + strconv.Itoa(len(v.Slots)) + ", those that are not ready first")
		v.raw(`</small>`)
	}
	v.raw(`</caption><thead role="rowgroup"><tr role="row">`)
	for _, name := range []string{"Slot", "State", "PID", "Age", "Restarts", "CPU", "Memory", "Last end"} {
		v.raw(`<th scope="col" role="columnheader">`, name, `</th>`)
	}
	v.raw(`</tr></thead><tbody role="rowgroup">`)
	cores, resident := v.scales()
	for _, s := range rows {
		v.worker(s, cores, resident)
	}
	if len(rows) == 0 {
		v.raw(`<tr role="row"><td role="cell" colspan="8">No worker yet.</td></tr>`)
	}
	v.raw(`</tbody></table>`)
}

// scales are the highest values of all charts: only on one scale can they be
// compared. A twentieth of a core, or of a worker that idles, is no peak.
func (v *view) scales() (cores, resident float64) {
	cores, resident = 0.05, 1<<20
	for _, points := range v.tracks {
		for _, p := range points {
			cores, resident = max(cores, p.cores), max(resident, p.rss)
		}
	}
	return cores, resident
}

func (v *view) cell(name string) { v.raw(`<td role="cell" data-label="`, name, `">`) }

func (v *view) worker(s *fanout.SlotView, cores, resident float64) {
	f, points := v.figures[s.Slot], v.tracks[s.Slot]
	slot := strconv.Itoa(s.Slot)
	v.raw(`<tr role="row" id="slot-`, slot, `"><th scope="row" role="rowheader" data-label="Slot">`, slot)
	if s.Leader {
		v.raw(` <small>leader</small>`)
	}
	v.raw(`</th>`)

	v.cell("State")
	v.raw(`<span class="state `, stateClass(s.State), `">`)
	v.text(string(s.State))
	v.raw(`</span>`)
	if s.Replacing != "" && s.PID != 0 {
		v.raw(` <small>to be replaced: `)
		v.text(string(s.Replacing))
		v.raw(`</small>`)
	}
	v.raw(`</td>`)

	v.cell("PID")
	if s.PID != 0 {
		v.value(float64(s.PID), strconv.Itoa(s.PID))
	}
	v.raw(`</td>`)
	v.cell("Age")
	if s.PID != 0 {
		v.text(age(v.now.Sub(s.Started)))
	}
	v.raw(`</td>`)
	v.cell("Restarts")
	v.value(float64(f.Restarts), strconv.FormatUint(f.Restarts, 10))
	v.raw(`</td>`)
	v.cpu(f, points, s.PID != 0, cores)
	v.rss(f, points, resident)
	v.lastEnd(s.Last)
	v.raw(`</tr>`)
}

func (v *view) cpu(f Figures, points []point, lives bool, most float64) {
	v.cell("CPU")
	v.raw(`<span class="figure">`)
	if n := len(points); lives && n > 0 && points[n-1].known {
		v.text(percent(points[n-1].cores))
	}
	v.raw(`</span>`)
	v.spark("cpu", v.now, points, most, func(p point) (float64, bool) { return p.cores, p.known })
	v.raw(`<small>`)
	v.value(f.CPUSeconds, short(time.Duration(f.CPUSeconds*float64(time.Second)))+" in all")
	v.raw(`</small></td>`)
}

func (v *view) rss(f Figures, points []point, most float64) {
	v.cell("Memory")
	v.raw(`<span class="figure">`)
	if f.Resident > 0 {
		v.value(float64(f.Resident), bytes(float64(f.Resident)))
	}
	v.raw(`</span>`)
	v.spark("rss", v.now, points, most, func(p point) (float64, bool) { return p.rss, true })
	v.raw(`</td>`)
}

func (v *view) lastEnd(l *fanout.LastExit) {
	v.cell("Last end")
	if l != nil {
		v.outcome(l.Reason, l.Code, l.Signal)
		v.raw(` <small>`)
		v.text(age(v.now.Sub(l.At)) + " ago")
		v.raw(`</small>`)
	}
	v.raw(`</td>`)
}

// outcome is how a process has ended.
func (v *view) outcome(reason fanout.Reason, code int, signal string) {
	class := "bad"
	if reason == fanout.ReasonCompleted || reason == fanout.ReasonStopped {
		class = "good"
	}
	v.raw(`<span class="end `, class, `">`)
	v.text(string(reason))
	v.raw(`</span> `)
	if signal != "" {
		v.value(float64(code), signal)
		return
	}
	v.value(float64(code), "code "+strconv.Itoa(code))
}
