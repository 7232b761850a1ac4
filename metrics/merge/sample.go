package merge

import (
	"bytes"
	"errors"
	"strconv"
	"unsafe"
)

// errLine says that a line is none of the format.
var errLine = errors.New("a line is not understood")

// joint is what the label of a worker needs around it at its place.
type joint uint8

const (
	beforeLabels joint = iota // name{ HERE a="b"}
	alone                     // name{ HERE }
	afterName                 // name HERE 1
	inBraces                  // {"na.me" HERE ,a="b"}
	jointCount
)

// pair is a label as it stands in a line: offsets of what is inside the quotes.
type pair struct {
	name, nameEnd   int32
	value, valueEnd int32
	quoted          bool // the name is
}

// sample is a line taken to pieces, as offsets into it.
type sample struct {
	name, nameEnd   int
	quoted          bool
	labels          []pair
	value, valueEnd int
	time, timeEnd   int // equal if there is none
	exemplar        int // where it begins, or the end of the line
	// inject is where a label can be put in, and how.
	inject int
	joint  joint
	// odd says that the line has to be written anew for a strict reader.
	odd    bool
	number float64
}

// What a byte may be part of.
const (
	nameStart = 1 << iota
	nameRest
	labelRest
)

type classes [256]uint8

// charset are the characters of names that need no quotes.
var charset = func() (c classes) {
	for b := range c {
		switch letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_'; {
		case letter:
			c[b] = nameStart | nameRest | labelRest
		case b == ':':
			c[b] = nameStart | nameRest
		case b >= '0' && b <= '9':
			c[b] = nameRest | labelRest
		}
	}
	return c
}()

func blank(b byte) bool { return b == ' ' || b == '\t' }

func skip(b []byte, i int) int {
	for i < len(b) && blank(b[i]) {
		i++
	}
	return i
}

// scan takes a line without its newline to pieces.
func (s *sample) scan(b []byte, in Format) error {
	s.labels, s.odd, s.quoted = s.labels[:0], false, false
	i := skip(b, 0)
	s.odd = i > 0
	var err error
	if i < len(b) && b[i] == '{' {
		i, err = s.scanBraced(b, i)
	} else {
		i, err = s.scanPlain(b, i)
	}
	if err != nil {
		return err
	}
	return s.scanValue(b, i, in)
}

// scanPlain reads a name, and the labels that may follow.
func (s *sample) scanPlain(b []byte, i int) (int, error) {
	s.name = i
	if i >= len(b) || charset[b[i]]&nameStart == 0 {
		return 0, errLine
	}
	for i < len(b) && charset[b[i]]&nameRest != 0 {
		i++
	}
	s.nameEnd = i
	s.inject, s.joint = i, afterName
	at := skip(b, i)
	if at >= len(b) || b[at] != '{' {
		return i, nil
	}
	s.odd = s.odd || at != i
	s.inject, s.joint = at+1, alone
	i, err := s.scanLabels(b, at+1, false)
	if len(s.labels) > 0 {
		s.joint = beforeLabels
	}
	return i, err
}

// scanBraced reads labels among which, in quotes, the name is.
func (s *sample) scanBraced(b []byte, i int) (int, error) {
	s.nameEnd = 0
	i, err := s.scanLabels(b, i+1, true)
	if err == nil && !s.quoted {
		err = errLine
	}
	return i, err
}

// scanLabels reads up to the closing brace, and returns what is behind it.
func (s *sample) scanLabels(b []byte, i int, named bool) (int, error) {
	for {
		at := skip(b, i)
		if at >= len(b) {
			return 0, errLine
		}
		s.odd = s.odd || at != i
		i = at
		if b[i] == '}' {
			return i + 1, s.distinct(b)
		}
		var p pair
		var err error
		if i, err = p.scanName(b, i); err != nil {
			return 0, err
		}
		at = skip(b, i)
		if at < len(b) && b[at] != '=' && p.quoted && named && !s.quoted {
			s.quoted, s.name, s.nameEnd = true, int(p.name), int(p.nameEnd)
			s.inject, s.joint = i, inBraces
			s.odd = s.odd || len(s.labels) > 0
		} else {
			if at >= len(b) || b[at] != '=' {
				return 0, errLine
			}
			start := skip(b, at+1)
			s.odd = s.odd || at != i || start != at+1
			if i, err = p.scanValue(b, start); err != nil {
				return 0, err
			}
			s.labels = append(s.labels, p)
			at = skip(b, i)
		}
		s.odd = s.odd || at != i
		if at >= len(b) {
			return 0, errLine
		}
		switch i = at; b[i] {
		case ',':
			i++
			s.odd = s.odd || i < len(b) && b[i] == '}'
		case '}':
		default:
			return 0, errLine
		}
	}
}

func (p *pair) scanName(b []byte, i int) (int, error) {
	if b[i] == '"' {
		p.quoted = true
		end, err := quotedEnd(b, i+1)
		p.name, p.nameEnd = int32(i+1), int32(end)
		if end == i+1 {
			return 0, errLine
		}
		return end + 1, err
	}
	p.name = int32(i)
	if charset[b[i]]&nameStart == 0 {
		return 0, errLine
	}
	for i < len(b) && charset[b[i]]&labelRest != 0 {
		i++
	}
	p.nameEnd = int32(i)
	if p.nameEnd == p.name || string(b[p.name:p.nameEnd]) == "__name__" {
		return 0, errLine
	}
	return i, nil
}

func (p *pair) scanValue(b []byte, i int) (int, error) {
	if i >= len(b) || b[i] != '"' {
		return 0, errLine
	}
	end, err := quotedEnd(b, i+1)
	p.value, p.valueEnd = int32(i+1), int32(end)
	return end + 1, err
}

// quotedEnd finds the closing quote.
func quotedEnd(b []byte, i int) (int, error) {
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i, nil
		case '\\':
			i++
			if i >= len(b) || b[i] != '"' && b[i] != '\\' && b[i] != 'n' {
				return 0, errLine
			}
		}
	}
	return 0, errLine
}

// few is how many labels are compared with each other: a line of a megabyte
// must not take a minute.
const few = 16

// distinct refuses a label that is there twice. Names have one spelling only,
// in quotes or not, so comparing them as they stand is enough.
func (s *sample) distinct(b []byte) error {
	if len(s.labels) > few {
		seen := make(map[string]bool, len(s.labels))
		for _, p := range s.labels {
			name := string(b[p.name:p.nameEnd])
			if seen[name] {
				return errLine
			}
			seen[name] = true
		}
		return nil
	}
	for i, p := range s.labels {
		for _, q := range s.labels[:i] {
			if string(b[p.name:p.nameEnd]) == string(b[q.name:q.nameEnd]) {
				return errLine
			}
		}
	}
	return nil
}

// scanValue reads what follows the labels: value, time, exemplar.
func (s *sample) scanValue(b []byte, i int, in Format) (err error) {
	at := skip(b, i)
	s.odd = s.odd || at != i+1 || b[i] != ' '
	s.value = at
	for at < len(b) && !blank(b[at]) {
		at++
	}
	s.valueEnd = at
	if s.number, err = number(b[s.value:at]); err != nil {
		return err
	}
	s.time, s.timeEnd, s.exemplar = at, at, len(b)
	if at == len(b) {
		return nil
	}
	next := skip(b, at)
	if next == len(b) { // blanks at the end
		s.odd = true
		return nil
	}
	s.odd = s.odd || next != at+1 || b[at] != ' '
	if in == OpenMetrics && b[next] == '#' {
		s.exemplar = next
		return exemplar(b[next:])
	}
	at = next
	s.time = at
	for at < len(b) && !blank(b[at]) {
		at++
	}
	s.timeEnd = at
	if err := timestamp(b[s.time:at], in); err != nil || at == len(b) {
		return err
	}
	next = skip(b, at)
	if next == len(b) {
		s.odd = true
		return nil
	}
	if in != OpenMetrics || b[next] != '#' {
		return errLine
	}
	s.odd = s.odd || next != at+1 || b[at] != ' '
	s.exemplar = next
	return exemplar(b[next:])
}

// view is the text of bytes that do not change while it is looked at.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// number reads a value. Most are whole, and small.
func number(b []byte) (float64, error) {
	if len(b) == 0 {
		return 0, errLine
	}
	whole := 0
	for i, c := range b {
		if c < '0' || c > '9' || i > 14 {
			return slowNumber(b)
		}
		whole = 10*whole + int(c-'0')
	}
	return float64(whole), nil
}

func slowNumber(b []byte) (float64, error) {
	for _, c := range b {
		if c == 'p' || c == 'P' || c == '_' { // Go has them, the formats do not
			return 0, errLine
		}
	}
	v, err := strconv.ParseFloat(view(b), 64)
	if err != nil {
		return 0, errLine
	}
	return v, nil
}

// timestamp checks the time of a sample: milliseconds in text, seconds in
// OpenMetrics.
func timestamp(b []byte, in Format) error {
	if in == OpenMetrics {
		_, err := seconds(b)
		return err
	}
	if _, err := strconv.ParseInt(view(b), 10, 64); err != nil {
		return errLine
	}
	return nil
}

func seconds(b []byte) (float64, error) {
	v, err := number(b)
	if err != nil || v-v != 0 { // not finite
		return 0, errLine
	}
	return v, nil
}

// exemplar checks one: # {a="b"} value [time]. It stays as it is, so it must be
// as a strict reader wants it.
func exemplar(b []byte) error {
	const lead = "# {"
	if len(b) < len(lead) || string(b[:len(lead)]) != lead {
		return errLine
	}
	var s sample
	i, err := s.scanLabels(b, len(lead), false)
	if err != nil || s.odd || i >= len(b) || b[i] != ' ' {
		return errLine
	}
	value, at, timed := bytes.Cut(b[i+1:], []byte(" "))
	if _, err := number(value); err != nil {
		return err
	}
	if timed {
		_, err = seconds(at)
	}
	return err
}
