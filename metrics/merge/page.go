package merge

import (
	"bytes"
	"errors"
	"hash/maphash"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
)

// Why an answer is not read.
var (
	// ErrFormat says that it is in no format that can be merged, or breaks off.
	ErrFormat = errors.New("not in a format of metrics")
	// ErrSamples says that it has more samples than it may have.
	ErrSamples = errors.New("too many samples")
)

// Rules are the same for all pages of a merge.
type Rules struct {
	// Label is the name of the label that says whose series it is; empty puts
	// none in.
	Label string
	// Reserved reports whether no worker may have a family of that name; nil is
	// none. In OpenMetrics the name of a counter has no _total.
	Reserved func(family string) bool
	// Samples is how many a page may have at most; 0 is no bound.
	Samples int
}

// Dropped counts the samples that were left out, by why.
type Dropped struct {
	Reserved     int // the family's name is not the worker's to use
	TypeConflict int // another worker says that the family is of another type
	Duplicate    int // the series is on the same page already
}

// Add adds up.
func (d *Dropped) Add(e Dropped) {
	d.Reserved += e.Reserved
	d.TypeConflict += e.TypeConflict
	d.Duplicate += e.Duplicate
}

// line is a sample that is kept: from start to inject, the label, and from there
// to end with the newline.
type line struct {
	start, inject, end int32
	joint              joint
	extra              bool // it is in extra, not in the body
}

// run is a number of lines one after another, from and to exclusive.
type run struct{ from, to int32 }

// family is a family of one page.
type family struct {
	name     string // as it is inside of quotes, if it needs them
	help     []byte // unescaped
	unit     string
	kind     kind
	typed    bool
	hasHelp  bool
	reserved bool
	runs     []run
	samples  int
}

// Page is what one worker has answered, read for a merged page of a certain
// style. A Page can be used again; it must not be copied.
type Page struct {
	rules  *Rules
	style  Style
	in     Format
	joints [jointCount][]byte
	worker string

	body     []byte
	extra    []byte // lines that were written anew
	lines    []line
	families []family
	byName   map[string]int
	current  int // the family of the last line, -1 for none
	suffixed bool
	seen     set
	sample   sample

	messages []*dto.MetricFamily // instead, when the style is Protobuf

	samples int
	dropped Dropped
}

// Samples is how many the answer had, and Dropped how many of them are left out
// already.
func (p *Page) Samples() int { return p.samples }

// Dropped counts the samples of the answer that are left out whatever the other
// pages have.
func (p *Page) Dropped() Dropped { return p.dropped }

// Read reads the body of a worker's answer, which the page keeps and which must
// not change until the page is read into again. With an error the page is empty:
// a part of an answer is none.
func (p *Page) Read(rules *Rules, style Style, worker, contentType string, body []byte) error {
	p.reset(rules, style, worker)
	in, _, ok := formatOf(contentType)
	if !ok {
		return ErrFormat
	}
	err := p.read(in, body)
	if err != nil {
		p.reset(rules, style, worker)
	}
	return err
}

func (p *Page) read(in Format, body []byte) error {
	switch {
	case in == Protobuf:
		return p.decode(body)
	case p.style.Format == Protobuf:
		return p.parse(in, body)
	}
	return p.scan(in, body)
}

func (p *Page) reset(rules *Rules, style Style, worker string) {
	p.rules, p.style, p.worker = rules, style, worker
	p.joints = [jointCount][]byte{}
	if label := rules.Label + `="` + worker + `"`; rules.Label != "" {
		for i, text := range [jointCount]string{label + ",", label, "{" + label + "}", "," + label} {
			p.joints[i] = []byte(text)
		}
	}
	clear(p.families) // for what they hold
	p.body, p.extra, p.lines, p.families = nil, p.extra[:0], p.lines[:0], p.families[:0]
	p.current, p.suffixed, p.messages = -1, false, nil
	p.samples, p.dropped = 0, Dropped{}
	if p.byName == nil {
		p.byName = make(map[string]int)
	}
	clear(p.byName)
	p.seen.clear()
}

// scan reads a page in a text format line by line.
func (p *Page) scan(in Format, body []byte) error {
	p.in, p.body = in, body
	// Nothing that is not text comes this far but in a comment.
	valid := utf8.Valid(body)
	for at := 0; at < len(body); {
		n := bytes.IndexByte(body[at:], '\n')
		if n < 0 {
			return ErrFormat // it breaks off
		}
		text := body[at : at+n]
		first := skip(text, 0)
		switch {
		case first == len(text):
		case text[first] == '#':
			last, err := p.comment(text[first+1:])
			if err != nil {
				return err
			}
			if last {
				if at+n+1 != len(body) {
					return ErrFormat
				}
				return nil
			}
		case !valid && !utf8.Valid(text):
			return ErrFormat
		default:
			if err := p.take(at, text); err != nil {
				return err
			}
		}
		at += n + 1
	}
	if in == OpenMetrics {
		return ErrFormat // without its last line it breaks off
	}
	return nil
}

// take adds a sample's line, which begins at an offset into the body.
func (p *Page) take(at int, text []byte) error {
	s := &p.sample
	if s.scan(text, p.in) != nil {
		return ErrFormat
	}
	if p.samples++; p.rules.Samples > 0 && p.samples > p.rules.Samples {
		return ErrSamples
	}
	name, _ := p.name(text[s.name:s.nameEnd], s.quoted, nameRest)
	f := &p.families[p.familyOf(name)]
	if f.reserved {
		p.dropped.Reserved++
		return nil
	}
	if p.unwritable(f, name) {
		return nil
	}
	if err := sane(text, s, f); err != nil {
		return err
	}
	l := line{start: int32(at), end: int32(at + len(text) + 1)}
	if p.needsRewriting(text, s, f.kind) {
		start := len(p.extra)
		p.extra = append(p.rewrite(p.extra, text, s, f.kind), '\n')
		text = p.extra[start : len(p.extra)-1]
		// Reading it again tells where the label goes, and that it is right.
		if s.scan(text, p.style.Format) != nil {
			return ErrFormat
		}
		l = line{start: int32(start), end: int32(len(p.extra)), extra: true}
	}
	l.inject, l.joint = l.start+int32(s.inject), s.joint
	if p.known(text, s) {
		p.dropped.Duplicate++
		return nil
	}
	f.add(int32(len(p.lines)))
	p.lines = append(p.lines, l)
	return nil
}

func (f *family) add(line int32) {
	f.samples++
	if n := len(f.runs); n > 0 && f.runs[n-1].to == line {
		f.runs[n-1].to++
		return
	}
	f.runs = append(f.runs, run{line, line + 1})
}

// known remembers a series, whatever the order of its labels, and reports
// whether it was there before.
func (p *Page) known(text []byte, s *sample) bool {
	sum := maphash.Bytes(p.seen.seed, text[s.name:s.nameEnd])
	for _, l := range s.labels {
		// name="value" in one piece, as every line has it now.
		sum += maphash.Bytes(p.seen.seed, text[l.name:l.valueEnd])
	}
	return !p.seen.add(sum)
}

// sane refuses what readers refuse in histograms and summaries.
func sane(text []byte, s *sample, f *family) error {
	if f.kind != histogram && f.kind != summary {
		return nil
	}
	limited := false
	for i := range s.labels {
		l := &s.labels[i]
		if bounded(f.kind, text[l.name:l.nameEnd]) {
			limited = true
			if _, err := slowNumber(text[l.value:l.valueEnd]); err != nil {
				return ErrFormat
			}
		}
	}
	if f.kind == histogram && s.number < 0 && (limited || bytes.HasSuffix(text[s.name:s.nameEnd], []byte("_count"))) {
		return ErrFormat
	}
	return nil
}
