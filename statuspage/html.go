package statuspage

import (
	"html"
	"strconv"
	"strings"
	"time"

	"github.com/brood-init/brood/fanout"
)

// writer collects HTML. What is not a constant of this package goes through
// text, whatever it is.
type writer struct{ strings.Builder }

// raw writes constants. Not inlined, it makes the package half as big.
//
//go:noinline
func (w *writer) raw(parts ...string) {
	for _, part := range parts {
		w.WriteString(part)
	}
}

func (w *writer) text(s string) { w.WriteString(html.EscapeString(s)) }

func (w *writer) number(n int) { w.WriteString(strconv.Itoa(n)) }

// value is a text with the exact number that stands behind it.
func (w *writer) value(n float64, text string) {
	w.raw(`<data value="`, strconv.FormatFloat(n, 'g', -1, 64), `">`)
	w.text(text)
	w.raw("</data>")
}

// view is all that is shown, as of one moment.
type view struct {
	*fanout.Snapshot
	now     time.Time
	serves  error
	version string
	figures map[int]Figures
	tracks  map[int][]point
	told    told
	writer
}

func (v *view) html() []byte {
	v.Grow(16<<10 + 1<<10*min(len(v.Slots), mostRows))
	every := refresh
	if len(v.Slots) > mostRows {
		every = refreshMany
	}
	word, class := v.verdict()
	v.raw(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">`,
		`<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>`)
	v.number(v.Ready)
	v.raw("/")
	v.number(v.Wanted)
	v.raw(` ready · brood</title><link rel="icon" href="`, icon, `"><style>`, style, `</style></head><body data-every="`)
	v.number(every)
	v.raw(`"><header>`, logo, `<h1>brood</h1><p class="version">`)
	v.text(v.version)
	v.raw(`</p><p class="verdict `, class, `" role="status"><span class="sign" aria-hidden="true"></span><span id="verdict">`)
	v.text(word)
	v.raw(`</span></p></header><main>`)
	v.facts()
	v.overview()
	v.workers()
	v.ends()
	v.hookRuns()
	v.raw(`</main><footer><p>As of <time id="asof" datetime="`, v.now.UTC().Format(time.RFC3339), `">`, v.now.UTC().Format("15:04:05"),
		`</time> UTC. CPU: 100 % is one core. Charts show the last five minutes, on one scale for all workers. `,
		`<a href="metrics">Metrics</a>, <a href="readyz">readyz</a>, <a href="livez">livez</a>.</p>`,
		`<p id="link" role="status"></p><noscript><p>Reload the page for newer figures.</p></noscript></footer><script>`, script, `</script></body></html>`, "\n")
	return []byte(v.String())
}

// verdict is what one wants to know first.
func (v *view) verdict() (word, class string) {
	ready := strconv.Itoa(v.Ready) + " of " + plural(v.Wanted, "worker") + " ready"
	switch {
	case v.Stopping():
		return "Stopping: " + strconv.Itoa(v.processes()) + " still running", "stopping"
	case v.serves != nil:
		return "Not ready: " + ready, "bad"
	case v.Reloading:
		return "Reloading: " + ready, "busy"
	case v.Ready < v.Wanted:
		return "Serving: " + ready, "busy"
	}
	return "Serving: " + ready, "good"
}

func (v *view) processes() (n int) {
	for _, s := range v.Slots {
		if s.PID != 0 {
			n++
		}
	}
	return n
}

func (v *view) fact(name, id string) {
	v.raw(`<div><dt>`, name, `</dt><dd id="`, id, `">`)
}

func (v *view) facts() {
	v.raw(`<dl class="facts">`)
	v.fact("Wanted", "wanted")
	v.value(float64(v.Wanted), plural(v.Wanted, "worker"))
	if why := v.why(); why != "" {
		v.raw(` <small>`)
		v.text(why)
		v.raw(`</small>`)
	}
	v.raw(`</dd></div>`)
	v.fact("Ready", "ready")
	v.value(float64(v.Ready), strconv.Itoa(v.Ready))
	v.raw(`</dd></div>`)
	v.fact("Phase", "phase")
	v.text(string(v.Phase))
	if !v.StopBy.IsZero() {
		v.raw(` <small>gone in `)
		v.text(age(v.StopBy.Sub(v.now)))
		v.raw(` at the latest</small>`)
	}
	v.raw(`</dd></div>`)
	v.fact("Up", "uptime")
	v.text(age(v.now.Sub(v.Began)))
	v.raw(`</dd></div>`)
	if r := v.told.reload; !r.began.IsZero() {
		v.fact("Reload", "reload")
		v.reload(r)
		v.raw(`</dd></div>`)
	}
	v.fact("Registered", "registered")
	v.value(float64(len(v.Registered)), strconv.Itoa(len(v.Registered)))
	v.raw(` <small>other processes</small></dd></div></dl>`)
}

// why is why so many workers are wanted.
func (v *view) why() string {
	switch {
	case v.told.byHand && v.Following:
		return "as many as the limits allow"
	case v.told.byHand:
		return "scaled by hand"
	}
	return because(v.told.reason)
}

func (v *view) reload(r reload) {
	count := strconv.Itoa(r.replaced) + " of " + strconv.Itoa(r.slots) + " replaced"
	switch {
	case r.ended.IsZero():
		v.text("under way ")
	case r.failed:
		v.text("failed ")
	default:
		v.text("done ")
		count += ", " + age(v.now.Sub(r.ended)) + " ago"
	}
	v.raw(`<small>`)
	v.text(count)
	v.raw(`</small>`)
}
