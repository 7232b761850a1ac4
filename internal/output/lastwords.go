package output

import (
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// longestWords is how much of a last line is kept, in bytes.
const longestWords = 512

// lastWords keeps the last line of a slot.
type lastWords struct {
	mu          sync.Mutex
	line        []byte
	from        int     // the incarnation that wrote it
	source      *source // of the newest incarnation
	incarnation int     // the newest
}

// listen takes the lines of an incarnation. One that has a successor is not
// heard any more once that has said something.
func (l *lastWords) listen(incarnation int, to *source) {
	to.onLine = func(p piece) { l.hear(incarnation, p) }
	l.mu.Lock()
	if l.source == nil || incarnation >= l.incarnation {
		l.source, l.incarnation = to, incarnation
	}
	l.mu.Unlock()
}

func (l *lastWords) hear(incarnation int, p piece) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if incarnation < l.from || !p.continued && blank(p.text) {
		return
	}
	if !p.continued || incarnation != l.from {
		l.line = l.line[:0]
	}
	l.from = incarnation
	l.line = append(l.line, p.text[:min(len(p.text), longestWords-len(l.line))]...)
}

func (l *lastWords) get(within time.Duration) string {
	l.mu.Lock()
	source := l.source
	l.mu.Unlock()
	if within > 0 {
		source.settle(within)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return printable(l.line)
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
// a terminal is left out.
func printable(text []byte) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r != utf8.RuneError && (unicode.IsPrint(r) || r == '\t') {
			b.WriteRune(r)
		}
		i += size
	}
	return strings.TrimSpace(b.String())
}
