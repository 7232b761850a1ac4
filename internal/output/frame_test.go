package output

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestALineShowsWhoseItIs(t *testing.T) {
	now := time.Date(2026, 8, 2, 14, 30, 0, 1200, time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		frame framer
		piece piece
		want  string
	}{
		"prefix":              {newFramer(Prefix, 3, "stdout", false), piece{text: []byte("hi")}, "[3] hi\n"},
		"empty line":          {newFramer(Prefix, 3, "stdout", false), piece{}, "[3] \n"},
		"continuation":        {newFramer(Prefix, 12, "stderr", false), piece{text: []byte("hi"), continued: true}, "[12+] hi\n"},
		"end of a prompt":     {newFramer(Prefix, 12, "stderr", false), piece{continued: true}, ""},
		"colour":              {newFramer(Prefix, 1, "stdout", true), piece{text: []byte("hi")}, "\x1b[36m[1]\x1b[0m hi\n"},
		"colours come again":  {newFramer(Prefix, 6, "stdout", true), piece{text: []byte("hi")}, "\x1b[36m[6]\x1b[0m hi\n"},
		"json":                {newFramer(JSON, 3, "stderr", false), piece{text: []byte(`"hi"`)}, `{"time":"2026-08-02T13:30:00.000001200Z","slot":3,"stream":"stderr","line":"\"hi\""}` + "\n"},
		"json, no colours":    {newFramer(JSON, 3, "stdout", true), piece{}, `{"time":"2026-08-02T13:30:00.000001200Z","slot":3,"stream":"stdout","line":""}` + "\n"},
		"json, cut":           {newFramer(JSON, 3, "stdout", false), piece{text: []byte("a"), partial: true}, `{"time":"2026-08-02T13:30:00.000001200Z","slot":3,"stream":"stdout","line":"a","partial":true}` + "\n"},
		"json, end of prompt": {newFramer(JSON, 3, "stdout", false), piece{continued: true}, `{"time":"2026-08-02T13:30:00.000001200Z","slot":3,"stream":"stdout","line":""}` + "\n"},
	} {
		c.frame.at(now)
		if got := string(c.frame.append(nil, c.piece)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOneLineIsNotLines(t *testing.T) {
	frame := newFramer(Prefix, 2, "stdout", false)
	for lines, want := range map[uint64]string{1: "[2] brood: 1 line dropped\n", 123: "[2] brood: 123 lines dropped\n"} {
		if got := string(frame.notice(nil, time.Now(), lines)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Any bytes become a line of JSON that reads as the same text, each byte that is
// no UTF-8 replaced.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "plain", "ü\u2028\u2029\x00\x1f\x7f\"\\\t\r", "\xff\xc3", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		frame := newFramer(JSON, 7, "stdout", false)
		frame.at(time.Now())
		line := string(frame.append(nil, piece{text: []byte(s)}))
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q is not one line", line)
		}
		var got struct {
			Time   time.Time
			Slot   int
			Stream string
			Line   string
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got.Line != string([]rune(s)) || got.Slot != 7 || got.Stream != "stdout" || got.Time.IsZero() {
			t.Errorf("%q became %+v", s, got)
		}
	})
}
