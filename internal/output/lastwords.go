package output

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds on what is kept of an incarnation's stderr.
const (
	longestWords = 512 // bytes of a line
	mostWords    = 5   // lines
)

// crashFresh is how old the first line of a crash may be, counted from the last
// line, to be taken for its cause: a stack trace follows it at once.
const crashFresh = 5 * time.Second

// Words are the last lines of an incarnation's stderr that are not blank: valid
// UTF-8, without control characters, each with its first 512 bytes at most.
type Words struct {
	// Line says most: where a crash was reported, its first line, else the last
	// line that does not belong to a stack trace.
	Line string
	// Lines are the last five, oldest first. With a crash its first line comes
	// before them if it is none of them.
	Lines []string
}

// lastWords keeps the last lines of an incarnation.
type lastWords struct {
	source *source

	mu    sync.Mutex
	lines [mostWords][]byte // a ring, newest at next-1
	next  int
	begun []byte    // how a line begins that has no words so far
	open  bool      // it has some: it is the newest one
	crash []byte    // the first line of the last crash
	began time.Time // when that was read
	heard time.Time // when the last line was read
}

func newLastWords(of *source) *lastWords {
	l := &lastWords{source: of}
	of.onLine = l.hear
	return l
}

// hear takes in a piece; what is cut is one line still.
func (l *lastWords) hear(p piece) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.continued {
		l.begun, l.open = l.begun[:0], false
	}
	if l.open {
		at := l.newest()
		*at = append(*at, p.text[:min(len(p.text), longestWords-len(*at))]...)
	} else {
		l.begun = append(l.begun, p.text[:min(len(p.text), longestWords-len(l.begun))]...)
		if blank(p.text) {
			return // its words may follow
		}
		l.begin()
	}
	if at := l.newest(); beginsCrash(*at) {
		l.crash, l.began = append(l.crash[:0], *at...), l.heard
	}
	l.open = true
}

// begin makes what was kept of a line the newest one.
func (l *lastWords) begin() {
	l.heard = time.Now()
	l.next++
	if l.next >= 2*mostWords {
		l.next -= mostWords // the place in the ring is the same
	}
	at := l.newest()
	*at = append((*at)[:0], l.begun...)
}

func (l *lastWords) newest() *[]byte { return &l.lines[(l.next-1)%mostWords] }

// get waits up to within until all that is in the pipe has been read.
func (l *lastWords) get(within time.Duration) (w Words) {
	if within > 0 {
		l.source.settle(within)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := max(0, l.next-mostWords); i < l.next; i++ {
		if line := l.lines[i%mostWords]; !blank(line) {
			w.add(line)
		}
	}
	if len(l.crash) > 0 && l.heard.Sub(l.began) <= crashFresh {
		w.Line = printable(l.crash)
		if !slices.Contains(w.Lines, w.Line) {
			w.Lines = append([]string{w.Line}, w.Lines...)
		}
	}
	return w
}

// add takes in a line that is newer than those before.
func (w *Words) add(line []byte) {
	text := printable(line)
	if text == "" {
		return
	}
	w.Lines = append(w.Lines, text)
	if w.Line == "" || line[0] != ' ' && line[0] != '\t' {
		w.Line = text
	}
}

// beginsCrash knows how the runtimes of Go, Rust and Java say why they end.
// Others say it in their last line, as Python does.
func beginsCrash(line []byte) bool {
	switch line[0] { // most lines are none of these
	case 'p':
		return bytes.HasPrefix(line, []byte("panic: "))
	case 'f':
		return bytes.HasPrefix(line, []byte("fatal error: "))
	case 't':
		return bytes.HasPrefix(line, []byte("thread '")) && bytes.Contains(line, []byte(" panicked at "))
	case 'E':
		return bytes.HasPrefix(line, []byte("Exception in thread "))
	}
	return false
}

func blank(text []byte) bool {
	for _, c := range text {
		if c > ' ' && c != 0x7f {
			return false
		}
	}
	return true
}

// printable is text for a log line or a terminal: what is not UTF-8 or controls
// a terminal, such as colours, is left out.
func printable(text []byte) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		if n := controlSequence(text[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if (r != utf8.RuneError || size > 1) && (unicode.IsPrint(r) || r == '\t') {
			b.WriteRune(r)
		}
		i += size
	}
	return strings.TrimSpace(b.String())
}

// controlSequence is the length of one that text begins with: ESC, [, parameters
// and a final letter (ECMA-48).
func controlSequence(text []byte) int {
	if len(text) < 3 || text[0] != 0x1b || text[1] != '[' {
		return 0
	}
	for i, c := range text[2:] {
		if c >= 0x40 && c <= 0x7e {
			return i + 3
		}
	}
	return len(text) // cut off inside of it
}
