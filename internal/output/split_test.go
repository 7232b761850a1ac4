package output

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// collect shows pieces: a leading + is a continuation, a trailing ... a cut.
func collect(into *[]string) func(piece) {
	return func(p piece) {
		text := string(p.text)
		if p.continued {
			text = "+" + text
		}
		if p.partial {
			text += "..."
		}
		*into = append(*into, text)
	}
}

func TestLinesAreMadeOfWhatComes(t *testing.T) {
	long := strings.Repeat("x", longestLine)
	for name, c := range map[string]struct {
		reads []string
		want  []string
	}{
		"one line":                     {[]string{"a\n"}, []string{"a"}},
		"several at once":              {[]string{"a\nb\n\nc\n"}, []string{"a", "b", "", "c"}},
		"a line in pieces":             {[]string{"he", "ll", "o\nwor", "ld\n"}, []string{"hello", "world"}},
		"the end of a line alone":      {[]string{"hello", "\n"}, []string{"hello"}},
		"no newline at the end":        {[]string{"a\nb"}, []string{"a", "b"}},
		"carriage returns stay":        {[]string{"50%\r100%\r\n"}, []string{"50%\r100%\r"}},
		"as long as can be":            {[]string{long + "\nb\n"}, []string{long, "b"}},
		"one byte longer":              {[]string{long + "y\nb\n"}, []string{long + "...", "+y", "b"}},
		"longer, in two reads":         {[]string{long, "y\n"}, []string{long + "...", "+y"}},
		"three times as long":          {[]string{long + long + long + "\n"}, []string{long + "...", "+" + long + "...", "+" + long}},
		"cut before a whole character": {[]string{long[1:] + "ü\n"}, []string{long[1:] + "...", "+ü"}},
		"cut behind one":               {[]string{long[2:] + "üx\n"}, []string{long[2:] + "ü...", "+x"}},
		"bytes that are no characters": {[]string{strings.Repeat("\x80", longestLine+1) + "\n"}, []string{strings.Repeat("\x80", longestLine) + "...", "+\x80"}},
	} {
		var s splitter
		var got []string
		for _, data := range c.reads {
			s.feed([]byte(data), collect(&got))
		}
		s.flush(false, collect(&got))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatFollowsAPromptIsItsContinuation(t *testing.T) {
	var s splitter
	var got []string
	s.feed([]byte("a\npassword: "), collect(&got))
	s.flush(true, collect(&got))
	s.flush(true, collect(&got)) // nothing came since
	s.feed([]byte("\nb\n"), collect(&got))
	if diff := cmp.Diff([]string{"a", "password: ...", "+", "b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestALongLineLeavesNoMemoryBehind(t *testing.T) {
	var s splitter
	s.feed(make([]byte, longestLine-1), func(piece) {})
	s.feed([]byte("\n"), func(piece) {})
	if cap(s.rest) > small {
		t.Errorf("%d bytes are held for nothing", cap(s.rest))
	}
}

// However the bytes are cut into reads, the pieces put together are the lines.
func FuzzSplit(f *testing.F) {
	f.Add("a\nb", uint16(1), 1)
	f.Add("ü", uint16(longestLine-1), 1000)
	f.Add("xü", uint16(longestLine/2), longestLine)
	f.Add("line\n\n", uint16(3), 4)
	f.Fuzz(func(t *testing.T, part string, times uint16, size int) {
		// Inputs stay small: those of a long line are not to be minimised.
		text := strings.Repeat(part, min(int(times), 3*longestLine/max(1, len(part)))) + part
		size = max(1, size%(2*longestLine))
		var s splitter
		var together strings.Builder
		emit := func(p piece) {
			if len(p.text) > longestLine {
				t.Fatalf("a piece of %d bytes", len(p.text))
			}
			together.Write(p.text)
			if !p.partial {
				together.WriteByte('\n')
			}
		}
		for data := []byte(text); len(data) > 0; {
			n := min(size, len(data))
			s.feed(data[:n], emit)
			data = data[n:]
		}
		s.flush(true, emit)
		if together.String() != text {
			t.Errorf("%d times %q by %d became %q", times, part, size, together.String())
		}
	})
}
