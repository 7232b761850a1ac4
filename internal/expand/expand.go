// Package expand fills a worker's place into a text:
//
//	{slot}           1, 2, 3, ...: the worker's place
//	{index}          0, 1, 2, ...: the same from zero
//	{count}          how many workers are wanted
//	{8080+index}     a sum or difference of a number and one of the names,
//	                 in either order, without spaces
//	{{               one opening brace
//	}}               one closing brace; so is a single } that closes nothing
//
// Anything else in braces is an error, at the time of compiling: a text that
// was meant for somebody else (JSON, a shell) is told, not silently changed.
package expand

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Values is a worker's place. Numbers that do not fit in 32 bits count as the
// nearest that does.
type Values struct{ Slot, Index, Count int }

// Template is a compiled text. It is immutable; its zero value expands to
// nothing. Its methods may be called from any goroutine.
type Template struct {
	parts []part
	tail  string // what follows the last part; without parts, all of it
}

// part is a piece of plain text and the term after it.
type part struct {
	text string
	term term
}

// term is number + sign·value, or, for a name alone, 0 + value.
type term struct {
	name     name
	negative bool // the value is subtracted
	number   int64
}

// name is one of the values.
type name string

const (
	slot  name = "slot"
	index name = "index"
	count name = "count"
)

// Compile reads a text. The error names the first piece in braces that is not
// understood and says what is.
func Compile(s string) (Template, error) {
	if !strings.ContainsAny(s, "{}") {
		return Template{tail: s}, nil
	}
	var t Template
	var text strings.Builder
	for s != "" {
		at := strings.IndexAny(s, "{}")
		if at < 0 {
			break
		}
		text.WriteString(s[:at])
		s = s[at:]
		switch {
		case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
			text.WriteByte(s[0])
			s = s[2:]
		case s[0] == '}':
			text.WriteByte('}')
			s = s[1:]
		default:
			inner, rest, closed := strings.Cut(s[1:], "}")
			term, ok := parseTerm(inner)
			if !closed || !ok {
				return Template{}, notUnderstood(s)
			}
			t.parts = append(t.parts, part{text.String(), term})
			text.Reset()
			s = rest
		}
	}
	text.WriteString(s)
	t.tail = text.String()
	return t, nil
}

// notUnderstood names the piece in braces that s starts with, up to a length
// that a log line can bear.
func notUnderstood(s string) error {
	const enough = 40
	piece, after, closed := strings.Cut(s, "}")
	if closed {
		piece = s[:len(s)-len(after)]
	}
	if len(piece) > enough {
		piece = strings.ToValidUTF8(piece[:enough], "") + "..."
	}
	return fmt.Errorf("cannot expand %q: braces hold {slot}, {index}, {count} or a sum such as {8080+index}, "+
		"and {{ is a brace itself", piece)
}

// parseTerm reads NAME, NUMBER±NAME or NAME±NUMBER.
func parseTerm(s string) (t term, ok bool) {
	at := strings.IndexAny(s, "+-")
	if at < 0 {
		t.name, ok = parseName(s)
		return t, ok
	}
	left, right, minus := s[:at], s[at+1:], s[at] == '-'
	if t.name, ok = parseName(left); ok {
		t.number, ok = parseNumber(right)
		if minus {
			t.number = -t.number
		}
		return t, ok
	}
	t.negative = minus
	t.number, ok = parseNumber(left)
	if !ok {
		return t, false
	}
	t.name, ok = parseName(right)
	return t, ok
}

func parseName(s string) (n name, ok bool) {
	switch n := name(s); n {
	case slot, index, count:
		return n, true
	}
	return "", false
}

// parseNumber reads digits up to 2^31-1. A leading zero is refused: whoever
// writes one wants a width kept, which a sum cannot do.
func parseNumber(s string) (v int64, ok bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		if v = v*10 + int64(c-'0'); v > math.MaxInt32 {
			return 0, false
		}
	}
	return v, true
}

// value is the term's number. Both sides fit in 32 bits, so their sum fits in 64.
func (t term) value(v Values) int64 {
	var n int
	switch t.name {
	case slot:
		n = v.Slot
	case index:
		n = v.Index
	case count:
		n = v.Count
	}
	n = min(max(n, math.MinInt32), math.MaxInt32)
	if t.negative {
		return t.number - int64(n)
	}
	return t.number + int64(n)
}

// Expand is the text for one worker. Where nothing is to be expanded it costs no
// allocation.
func (t Template) Expand(v Values) string {
	if len(t.parts) == 0 {
		return t.tail
	}
	var space [128]byte
	b := space[:0]
	for _, p := range t.parts {
		b = append(b, p.text...)
		b = strconv.AppendInt(b, p.term.value(v), 10)
	}
	return string(append(b, t.tail...))
}

// UsesIdentity reports whether workers get different texts: whether {slot} or
// {index} is in it.
func (t Template) UsesIdentity() bool {
	for _, p := range t.parts {
		if p.term.name != count {
			return true
		}
	}
	return false
}
