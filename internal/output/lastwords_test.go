package output

import (
	"strings"
	"testing"
	"time"
)

func TestLastWords(t *testing.T) {
	goPanic := "listening\npanic: no cheese\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:4 +0x25\nmain.serve()\n\t/src/serve.go:9 +0x1\nexit status 2"
	for name, test := range map[string]struct{ said, line, lines string }{
		"nothing":             {"", "", ""},
		"the last":            {"a\nb", "b", "a|b"},
		"blank lines":         {"a\n\n \t\r", "a", "a"},
		"five of many":        {"a\nb\nc\nd\ne\nf\ng", "g", "c|d|e|f|g"},
		"colours":             {"  \x1b[1;31mpanic\x1b[0m\r", "panic", "panic"},
		"a colour cut off":    {"a\x1b[31", "a", "a"},
		"nothing but colours": {"a\n\x1b[0m", "a", "a"},
		"not text":            {"a\xff\u202eb", "ab", "ab"},
		"long":                {strings.Repeat("x", 600), strings.Repeat("x", 512), strings.Repeat("x", 512)},
		"long, in characters": {"x" + strings.Repeat("ü", 300), "x" + strings.Repeat("ü", 255), "x" + strings.Repeat("ü", 255)},
		"Python":              {"Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: no cheese", "ValueError: no cheese", ""},
		"Go": {
			goPanic, "panic: no cheese",
			"panic: no cheese|main.main()|/src/main.go:4 +0x25|main.serve()|/src/serve.go:9 +0x1|exit status 2",
		},
		"Rust":       {"thread 'main' panicked at src/main.rs:2:5:\nno cheese\nnote: run with RUST_BACKTRACE=1", "thread 'main' panicked at src/main.rs:2:5:", ""},
		"Java":       {"Exception in thread \"main\" java.lang.Error: no cheese\n\tat A.main(A.java:1)", "Exception in thread \"main\" java.lang.Error: no cheese", ""},
		"a trace":    {"Error: no cheese\n    at serve (a.js:1)\n    at main (a.js:2)", "Error: no cheese", ""},
		"no crash":   {"panicking\nbye", "bye", "panicking|bye"},
		"all traces": {"  at a\n  at b", "at a", "at a|at b"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLastWords(&source{})
			for line := range strings.SplitSeq(test.said, "\n") {
				l.hear(piece{text: []byte(line)})
			}
			got := l.get(0)
			if got.Line != test.line {
				t.Errorf("the line is %q, want %q", got.Line, test.line)
			}
			if lines := strings.Join(got.Lines, "|"); test.lines != "" && lines != test.lines {
				t.Errorf("the lines are %q, want %q", lines, test.lines)
			}
		})
	}
}

func TestACrashThatWasSurvivedIsNotTheCause(t *testing.T) {
	l := newLastWords(&source{})
	l.hear(piece{text: []byte("panic: in a plug-in, caught")})
	l.began = l.began.Add(-time.Minute)
	for range mostWords + 1 {
		l.hear(piece{text: []byte("cannot bind")})
	}
	if got := l.get(0); got.Line != "cannot bind" || len(got.Lines) != mostWords {
		t.Errorf("%q", got)
	}
}

func TestALineInPiecesIsOneLine(t *testing.T) {
	l := newLastWords(&source{})
	for i := range 50 {
		l.hear(piece{text: []byte(strings.Repeat("x", 100)), continued: i%10 > 0, partial: true})
	}
	got := l.get(0)
	if len(got.Lines) != mostWords || got.Line != strings.Repeat("x", longestWords) {
		t.Errorf("%d lines, the last of %d bytes", len(got.Lines), len(got.Line))
	}
}

// What is passed on before its line is whole, as an indent or a prompt may be, is
// no part of the line before.
func TestALineThatBeginsBlankIsALineOfItsOwn(t *testing.T) {
	l := newLastWords(&source{})
	for _, p := range []piece{
		{text: []byte("listening")},
		{text: []byte("  "), partial: true},
		{text: []byte("pan"), continued: true, partial: true},
		{text: []byte("ic"), continued: true},
		{text: []byte("pan"), partial: true},
		{text: []byte("ic: no cheese"), continued: true},
		{text: []byte("bye")},
	} {
		l.hear(p)
	}
	got := l.get(0)
	if lines := strings.Join(got.Lines, "|"); lines != "listening|panic|panic: no cheese|bye" || got.Line != "panic: no cheese" {
		t.Errorf("%q", got)
	}
}
