package statuspage

import (
	"slices"
	"strconv"
)

// ends is what has ended lately, in whatever slot.
func (v *view) ends() {
	v.raw(`<section aria-labelledby="ends-title"><h2 id="ends-title">Last ends</h2>`)
	if len(v.told.ends) == 0 {
		v.raw(`<p class="none">No worker has ended yet.</p></section>`)
		return
	}
	v.raw(`<ol class="ends" reversed>`)
	for _, e := range slices.Backward(v.told.ends) {
		v.raw(`<li><b>slot `, strconv.Itoa(e.slot), `</b> `)
		v.outcome(e.reason, e.code, e.signal)
		v.raw(` <small>`)
		v.text("after " + age(e.uptime) + ", " + age(v.now.Sub(e.at)) + " ago")
		v.raw(`</small></li>`)
	}
	v.raw(`</ol></section>`)
}

// hookRuns is how the last run of each hook has ended, of those that have run.
func (v *view) hookRuns() {
	begun := false
	for i, kind := range kinds() {
		h := v.told.hooks[i]
		if h.runs == 0 && h.running == 0 {
			continue
		}
		if !begun {
			v.raw(`<section aria-labelledby="hooks-title"><h2 id="hooks-title">Hooks</h2><ul class="hooks">`)
			begun = true
		}
		v.raw(`<li><b>`)
		v.text(string(kind))
		v.raw(`</b> `)
		v.hook(h)
		v.raw(`</li>`)
	}
	if begun {
		v.raw(`</ul></section>`)
	}
}

func (v *view) hook(h hook) {
	if h.running > 0 {
		v.raw(`<span class="end busy">running</span> `)
	}
	if h.runs == 0 {
		return
	}
	switch {
	case h.timedOut:
		v.raw(`<span class="end bad">out of time</span>`)
	case h.code != 0:
		v.raw(`<span class="end bad">failed</span> code `, strconv.Itoa(h.code))
	default:
		v.raw(`<span class="end good">done</span>`)
	}
	v.raw(` <small>`)
	text := "in " + short(h.took) + ", " + age(v.now.Sub(h.at)) + " ago"
	if h.runs > 1 {
		text += ", " + plural(h.runs, "run")
	}
	v.text(text)
	v.raw(`</small>`)
}
