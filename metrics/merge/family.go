package merge

import (
	"bytes"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
)

// comment reads what follows the # of a line, and reports whether it is the last
// line of an OpenMetrics page.
func (p *Page) comment(text []byte) (last bool, err error) {
	word, rest := nextWord(text)
	switch string(word) {
	case "HELP", "TYPE":
	case "UNIT":
		if p.in != OpenMetrics {
			return false, nil
		}
	case "EOF":
		return p.in == OpenMetrics && len(rest) == 0, nil
	default:
		return false, nil
	}
	name, rest, err := p.commentName(rest[skip(rest, 0):])
	if err != nil || len(name) == 0 {
		return false, err
	}
	if len(rest) == 0 {
		return false, nil
	}
	if !blank(rest[0]) {
		return false, ErrFormat
	}
	rest = rest[skip(rest, 0):]
	if string(word) == "TYPE" {
		return false, p.typed(name, bytes.TrimRight(rest, " \t"))
	}
	f := &p.families[p.familyOf(name)]
	if string(word) == "UNIT" {
		f.unit = string(rest)
	} else if len(rest) > 0 && !f.hasHelp {
		f.hasHelp, f.help = true, bytes.ToValidUTF8(unescape(rest), []byte("\uFFFD"))
	}
	return false, nil
}

func (p *Page) typed(name, word []byte) error {
	if len(word) == 0 {
		return nil
	}
	k, ok := kindOf(word, p.in)
	if !ok {
		return ErrFormat
	}
	if k == gaugeHistogram && (p.in == Text || p.style.Format == Text) {
		return nil // the text format has none: its samples stand for themselves
	}
	if f := &p.families[p.familyOf(name)]; !f.typed {
		f.typed, f.kind = true, k
	}
	return nil
}

func nextWord(text []byte) (word, rest []byte) {
	text = text[skip(text, 0):]
	if i := bytes.IndexAny(text, " \t"); i >= 0 {
		return text[:i], text[i:]
	}
	return text, nil
}

// commentName reads the name in a comment, in quotes if it needs them, and
// returns it as samples will have it.
func (p *Page) commentName(text []byte) (name, rest []byte, err error) {
	if len(text) == 0 {
		return nil, nil, nil
	}
	var l pair
	if text[0] == '"' {
		end, err := l.scanName(text, 0)
		if err != nil || !model.LabelValue(view(text)).IsValid() {
			return nil, nil, ErrFormat
		}
		name, _ := p.name(text[l.name:l.nameEnd], true, nameRest)
		return name, text[end:], nil
	}
	end := 0
	for end < len(text) && charset[text[end]]&nameRest != 0 {
		end++
	}
	if !legacy(text[:end], nameRest) {
		return nil, nil, ErrFormat
	}
	return text[:end], text[end:], nil
}

// familyOf finds the family that a name belongs to, or makes one of that name.
func (p *Page) familyOf(name []byte) int {
	if p.current >= 0 && (!p.suffixed || p.in == OpenMetrics) && p.families[p.current].has(name, p.in) {
		return p.current
	}
	if i, ok := p.byName[string(name)]; ok {
		p.current = i
		return i
	}
	if cut := bytes.LastIndexByte(name, '_'); cut > 0 {
		if i, ok := p.byName[string(name[:cut])]; ok && p.families[i].has(name, p.in) {
			p.current = i
			return i
		}
	}
	p.current = len(p.families)
	f := family{name: string(name)}
	f.reserved = p.rules.Reserved != nil && p.rules.Reserved(f.name)
	p.families = append(p.families, f)
	p.byName[f.name] = p.current
	for _, suffix := range histogram.suffixes(Text) {
		p.suffixed = p.suffixed || strings.HasSuffix(f.name, suffix)
	}
	return p.current
}

// has reports whether a sample of that name belongs to the family.
func (f *family) has(name []byte, in Format) bool {
	rest := len(name) - len(f.name)
	if rest < 0 || string(name[:len(f.name)]) != f.name {
		return false
	}
	if rest == 0 {
		return in != OpenMetrics || f.kind != counter && f.kind != info
	}
	return slices.Contains(f.kind.suffixes(in), string(name[len(f.name):]))
}

// unwritable reports whether the page's format has no place for the sample.
func (p *Page) unwritable(f *family, name []byte) bool {
	return p.in == OpenMetrics && p.style.Format == Text &&
		len(name) > len(f.name) && bytes.HasSuffix(name, []byte("_created"))
}

// outName is the name of the family in the page's format: in OpenMetrics a
// counter's family has no _total, and in text it does.
func (p *Page) outName(f *family) string {
	switch {
	case p.in == p.style.Format:
	case p.in == Text && p.losesTotal(f):
		return strings.TrimSuffix(f.name, total)
	case p.in == OpenMetrics && f.kind == counter:
		return f.name + total
	case p.in == OpenMetrics && f.kind == info:
		return f.name + "_info"
	}
	return f.name
}

const total = "_total"

// losesTotal reports whether a family of text is a counter in OpenMetrics. Where
// a gauge x stands beside a counter x_total, which text allows, it has no type:
// both would be called x.
func (p *Page) losesTotal(f *family) bool {
	base, ok := strings.CutSuffix(f.name, total)
	if !ok || f.kind != counter {
		return false
	}
	other, taken := p.byName[base]
	return !taken || p.families[other].samples == 0
}

// outKind is the family's type in the page's format.
func (p *Page) outKind(f *family) kind {
	switch {
	case p.style.Format == OpenMetrics && p.in == Text && f.kind == counter && !p.losesTotal(f):
		return untyped
	case p.style.Format == Text && (f.kind == info || f.kind == stateSet):
		return gauge
	}
	return f.kind
}
