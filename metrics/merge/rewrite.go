package merge

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// needsRewriting reports whether a line cannot stay as it is.
func (p *Page) needsRewriting(b []byte, s *sample, k kind) bool {
	if s.odd || p.style.Escaping != model.NoEscaping && s.quoted || s.quoted && legacy(b[s.name:s.nameEnd], nameRest) {
		return true
	}
	for i := range s.labels {
		l := &s.labels[i]
		name := b[l.name:l.nameEnd]
		if l.quoted && (p.style.Escaping != model.NoEscaping || legacy(name, labelRest)) || string(name) == p.rules.Label {
			return true
		}
		if p.in == Text && p.style.Format == OpenMetrics && bounded(k, name) {
			return true
		}
	}
	return p.in != p.style.Format && (s.time != s.timeEnd || s.exemplar != len(b))
}

// bounded reports whether a label's value is a number that OpenMetrics has in
// one spelling only.
func bounded(k kind, name []byte) bool {
	return k == histogram && string(name) == model.BucketLabel || k == summary && string(name) == model.QuantileLabel
}

// legacy reports whether a name needs no quotes.
func legacy(name []byte, rest uint8) bool {
	for i, c := range name {
		if charset[c]&rest == 0 || i == 0 && charset[c]&nameStart == 0 {
			return false
		}
	}
	return len(name) > 0
}

// rewrite appends the line as the page wants it, without a newline.
func (p *Page) rewrite(dst, b []byte, s *sample, k kind) []byte {
	name, quoted := p.name(b[s.name:s.nameEnd], s.quoted, nameRest)
	if !quoted {
		dst = append(dst, name...)
	}
	dst = append(dst, '{')
	comma := quoted
	if quoted {
		dst = quote(dst, name)
	}
	for i := range s.labels {
		l := &s.labels[i]
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = p.label(dst, b, s, l, k)
	}
	dst = append(dst, "} "...)
	dst = append(dst, b[s.value:s.valueEnd]...)
	if s.time != s.timeEnd {
		dst = append(dst, ' ')
		dst = p.time(dst, b[s.time:s.timeEnd])
	}
	if s.exemplar != len(b) && p.style.Format == OpenMetrics {
		dst = append(dst, ' ')
		dst = append(dst, b[s.exemplar:]...)
	}
	return dst
}

func (p *Page) label(dst, b []byte, s *sample, l *pair, k kind) []byte {
	name, quoted := p.name(b[l.name:l.nameEnd], l.quoted, labelRest)
	if string(name) == p.rules.Label {
		name = []byte(p.renamed(func(other string) bool { return s.has(b, other) }))
	}
	if quoted {
		dst = quote(dst, name)
	} else {
		dst = append(dst, name...)
	}
	dst = append(dst, `="`...)
	value := b[l.value:l.valueEnd]
	dst = append(dst, value...)
	if p.style.Format == OpenMetrics && bounded(k, name) && plain(value) {
		dst = append(dst, ".0"...)
	}
	return append(dst, '"')
}

// renamed is what our label becomes where it is taken.
func (p *Page) renamed(taken func(string) bool) string {
	name := "exported_" + p.rules.Label
	for taken(name) {
		name = "exported_" + name
	}
	return name
}

func (s *sample) has(b []byte, name string) bool {
	for i := range s.labels {
		if string(b[s.labels[i].name:s.labels[i].nameEnd]) == name {
			return true
		}
	}
	return false
}

// plain reports whether a number is digits only.
func plain(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("-"))
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// name is a name as the page wants it, and whether in quotes. What is inside of
// quotes is and stays escaped.
func (p *Page) name(raw []byte, quoted bool, rest uint8) ([]byte, bool) {
	if !quoted || legacy(raw, rest) {
		return raw, false
	}
	if p.style.Escaping == model.NoEscaping {
		return raw, true
	}
	escaped := model.EscapeName(string(unescape(raw)), p.style.Escaping)
	if rest == labelRest {
		escaped = strings.ReplaceAll(escaped, ":", "_")
	}
	return []byte(escaped), false
}

func quote(dst, name []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"')
}

// time writes a timestamp in the page's unit.
func (p *Page) time(dst, raw []byte) []byte {
	switch p.in {
	case p.style.Format:
		return append(dst, raw...)
	case OpenMetrics:
		v, _ := seconds(raw) // has been read before
		return strconv.AppendInt(dst, int64(math.Round(v*1000)), 10)
	}
	ms, _ := strconv.ParseInt(view(raw), 10, 64)
	return strconv.AppendFloat(dst, float64(ms)/1000, 'f', -1, 64)
}

// unescape reads \\, \n and \"; any other backslash is one.
func unescape(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 < len(raw) {
			switch raw[i+1] {
			case '\\', '"':
				i++
				out = append(out, raw[i])
				continue
			case 'n':
				i++
				out = append(out, '\n')
				continue
			}
		}
		out = append(out, raw[i])
	}
	return out
}

// escape writes what stands behind HELP.
func escape(dst, text []byte, out Format) []byte {
	for _, c := range text {
		switch {
		case c == '\\':
			dst = append(dst, `\\`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '"' && out == OpenMetrics:
			dst = append(dst, `\"`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
