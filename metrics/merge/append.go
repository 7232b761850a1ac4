package merge

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
)

// verdict is what becomes of a family of which several pages have a part.
type verdict struct {
	kind    kind
	dropped bool // all of it
	votes   []vote
	parts   []part
}

// vote counts the pages that say that a family is of a kind, in their order.
type vote struct {
	kind    kind
	pages   int
	samples int
}

// part is a family of one page.
type part struct {
	page   *Page
	family *family
}

// Append merges pages that were read for the style, in the order of their
// workers, and appends the merged page to dst: whole families, sorted by name,
// without the end mark of OpenMetrics, so that another page of whole families
// can stand before or behind it. Names given by only are all that is written; none
// are all.
func Append(dst []byte, style Style, pages []*Page, only ...string) ([]byte, Dropped) {
	verdicts := make(map[string]*verdict)
	for _, p := range pages {
		p.votes(verdicts)
	}
	dropped := settle(verdicts, style.Format)
	if len(only) > 0 {
		maps.DeleteFunc(verdicts, func(name string, _ *verdict) bool {
			// Who asks by name need not know what OpenMetrics calls a counter.
			total := style.Format == OpenMetrics && slices.Contains(only, name+"_total")
			return !total && !slices.Contains(only, name)
		})
	}
	if style.Format == Protobuf {
		merged, err := appendMessages(dst, style, pages, verdicts)
		if err != nil { // not of anything that has been read
			return dst, dropped
		}
		return merged, dropped
	}
	names := make([]string, 0, len(verdicts))
	for name, v := range verdicts {
		if !v.dropped {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(only) == 0 {
		size := 0
		for _, p := range pages {
			size += p.size()
		}
		dst = slices.Grow(dst, size)
	}
	for _, name := range names {
		dst = verdicts[name].append(dst, name, style.Format)
	}
	return dst, dropped
}

func (p *Page) votes(verdicts map[string]*verdict) {
	for _, mf := range p.messages {
		size := 0
		for _, m := range mf.Metric {
			size += samplesOf(m)
		}
		of(verdicts, mf.GetName()).count(ofMessage(mf.GetType()), size)
	}
	for i := range p.families {
		f := &p.families[i]
		if f.samples == 0 {
			continue
		}
		v := of(verdicts, p.outName(f))
		v.count(p.outKind(f), f.samples)
		v.parts = append(v.parts, part{p, f})
	}
}

func of(verdicts map[string]*verdict, name string) *verdict {
	v := verdicts[name]
	if v == nil {
		v = new(verdict)
		verdicts[name] = v
	}
	return v
}

func (v *verdict) count(k kind, samples int) {
	for i := range v.votes {
		if v.votes[i].kind == k {
			v.votes[i].pages++
			v.votes[i].samples += samples
			return
		}
	}
	v.votes = append(v.votes, vote{k, 1, samples})
}

// settle decides on the type of each family, and drops those whose name is that
// of another's samples.
func settle(verdicts map[string]*verdict, f Format) (dropped Dropped) {
	for _, v := range verdicts {
		best := v.votes[0] // the first page's, unless more say otherwise
		for _, other := range v.votes[1:] {
			if other.pages > best.pages {
				best = other
			}
		}
		v.kind = best.kind
		for _, other := range v.votes {
			if other.kind != best.kind {
				dropped.TypeConflict += other.samples
			}
		}
	}
	for name, v := range verdicts {
		cut := strings.LastIndexByte(name, '_')
		if cut < 0 {
			continue
		}
		whole := verdicts[name[:cut]]
		if whole == nil || !slices.Contains(whole.kind.suffixes(f), name[cut:]) {
			continue
		}
		v.dropped = true
		for _, vote := range v.votes {
			if vote.kind == v.kind {
				dropped.TypeConflict += vote.samples
			}
		}
	}
	return dropped
}

// append writes a family.
func (v *verdict) append(dst []byte, name string, f Format) []byte {
	parts := slices.DeleteFunc(v.parts, func(p part) bool { return p.page.outKind(p.family) != v.kind })
	if i := slices.IndexFunc(parts, func(p part) bool { return p.family.hasHelp }); i >= 0 {
		dst = comment(dst, "HELP", name)
		dst = append(escape(dst, parts[i].family.help, f), '\n')
	}
	dst = comment(dst, "TYPE", name)
	dst = append(append(dst, v.kind.word(f)...), '\n')
	if f == OpenMetrics {
		i := slices.IndexFunc(parts, func(p part) bool { return p.family.unit != "" })
		if i >= 0 && strings.HasSuffix(name, "_"+parts[i].family.unit) {
			dst = comment(dst, "UNIT", name)
			dst = append(append(dst, parts[i].family.unit...), '\n')
		}
	}
	for _, p := range parts {
		dst = p.page.appendLines(dst, p.family)
	}
	return dst
}

func comment(dst []byte, word, name string) []byte {
	dst = append(append(append(dst, "# "...), word...), ' ')
	if model.LegacyValidation.IsValidMetricName(name) {
		dst = append(dst, name...)
	} else {
		dst = append(append(append(dst, '"'), name...), '"')
	}
	return append(dst, ' ')
}

// appendLines writes what is between the labels of two lines in one piece, if
// they are neighbours where they come from.
func (p *Page) appendLines(dst []byte, f *family) []byte {
	for _, r := range f.runs {
		var from []byte
		var at, end int32
		extra := false
		for _, l := range p.lines[r.from:r.to] {
			if l.start != end || l.extra != extra || from == nil {
				dst = append(dst, from[at:end]...)
				if from, extra, at = p.body, l.extra, l.start; extra {
					from = p.extra
				}
			}
			dst = append(dst, from[at:l.inject]...)
			dst = append(dst, p.joints[l.joint]...)
			at, end = l.inject, l.end
		}
		dst = append(dst, from[at:end]...)
	}
	return dst
}

// size is about what the lines take when they are written.
func (p *Page) size() int {
	return len(p.body) + len(p.extra) + len(p.lines)*len(p.joints[alone])
}
