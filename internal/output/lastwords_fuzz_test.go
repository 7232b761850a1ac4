package output

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// However stderr comes in, in one piece or in many that are passed on before the
// line is whole, its last words are those of the whole lines.
func FuzzLastWords(f *testing.F) {
	for _, said := range []string{
		"", "a\nb\n", "\n \t\r\na", "1\n2\n3\n4\n5\n6\n7\n", "Error: no cheese\n    at serve (a.js:1)\n    at main (a.js:2)\n",
		"panic: no cheese\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:4 +0x25\nmain.serve()\n\t/src/serve.go:9\nexit status 2\n",
		"thread 'main' panicked at src/main.rs:2:5:\nno cheese\n", "Exception in thread \"main\" java.lang.Error\n\tat A.main(A.java:1)\n",
		"fatal error: all goroutines are asleep\npanic: again", "  \x1b[1;31mred\x1b[0m\r\n\x1b[31", "\xff\xfe\u202e\n", "\t\tat a\n  at b\n",
		"x\n   y\n", strings.Repeat("x", 600) + "\n" + strings.Repeat(" ", 600) + "y\n", "x" + strings.Repeat("ü", 300) + "\n",
		"listening\n" + strings.Repeat(" ", longestLine) + "Error: far away\n",
	} {
		for _, every := range []uint16{0, 1, 3, 700} {
			f.Add([]byte(said), every)
		}
	}
	f.Fuzz(func(t *testing.T, said []byte, every uint16) {
		l := newLastWords(&source{})
		var s splitter
		for rest := said; len(rest) > 0; {
			n := len(rest)
			if every > 0 {
				n = min(n, int(every))
			}
			s.feed(rest[:n], l.hear)
			s.flush(true, l.hear)
			rest = rest[n:]
		}
		got := l.get(0)
		if want := wordsOf(string(said)); got.Line != want.Line || !slices.Equal(got.Lines, want.Lines) {
			t.Errorf("%q by %d: %q, want %q", said, every, got, want)
		}
		if len(got.Lines) > mostWords+1 || len(got.Lines) > 0 && !slices.Contains(got.Lines, got.Line) {
			t.Errorf("%q", got)
		}
		for _, line := range append(got.Lines, got.Line) {
			bad := strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' })
			if bad || !utf8.ValidString(line) || len(line) > longestWords {
				t.Errorf("a line is %q", line)
			}
		}
	})
}

// wordsOf is what is wanted of a text as a whole.
func wordsOf(said string) (w Words) {
	var lines []string
	crash := ""
	for line := range strings.SplitSeq(said, "\n") {
		if blank([]byte(line)) {
			continue
		}
		line = line[:min(len(line), longestWords)]
		lines = append(lines, line)
		if beginsCrash([]byte(line)) {
			crash = printable([]byte(line))
		}
	}
	for _, line := range lines[max(0, len(lines)-mostWords):] {
		text := printable([]byte(line))
		if text == "" {
			continue
		}
		w.Lines = append(w.Lines, text)
		if w.Line == "" || line[0] != ' ' && line[0] != '\t' {
			w.Line = text
		}
	}
	if crash != "" {
		w.Line = crash
		if !slices.Contains(w.Lines, crash) {
			w.Lines = append([]string{crash}, w.Lines...)
		}
	}
	return w
}
