package notify

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		want    Message
		ignored int
		fault   string // part of the error
	}{
		"ready":                    {"READY=1", Message{Ready: true}, 0, ""},
		"with a newline":           {"READY=1\n", Message{Ready: true}, 0, ""},
		"with a C string's end":    {"READY=1\x00", Message{Ready: true}, 0, ""},
		"ready, with a status":     {"READY=1\nSTATUS=3 of 4\n", Message{Ready: true, Status: new("3 of 4")}, 0, ""},
		"not ready":                {"READY=0", Message{}, 0, ""},
		"stopping":                 {"STOPPING=1", Message{Stopping: true}, 0, ""},
		"reloading":                {"RELOADING=1\nMONOTONIC_USEC=12", Message{Reloading: true, Monotonic: 12 * time.Microsecond}, 0, ""},
		"alive":                    {"WATCHDOG=1", Message{Watchdog: true}, 0, ""},
		"trigger":                  {"WATCHDOG=trigger", Message{WatchdogTrigger: true}, 0, ""},
		"a new interval":           {"WATCHDOG_USEC=20000000", Message{WatchdogInterval: 20 * time.Second}, 0, ""},
		"more time":                {"EXTEND_TIMEOUT_USEC=5000000", Message{ExtendTimeout: 5 * time.Second}, 0, ""},
		"an error":                 {"ERRNO=2\nEXIT_STATUS=0", Message{Errno: 2, ExitStatus: new(0)}, 0, ""},
		"the last one counts":      {"STATUS=a\nSTATUS=b", Message{Status: new("b")}, 0, ""},
		"a status taken back":      {"STATUS=", Message{Status: new("")}, 0, ""},
		"a status with =":          {"STATUS=a=b", Message{Status: new("a=b")}, 0, ""},
		"not followed":             {"MAINPID=1\nFDSTORE=1\nFDNAME=x", Message{}, 3, ""},
		"unknown":                  {"X_MINE=1\nBARRIER=1", Message{}, 0, ""},
		"names are as they are":    {"ready=1\n READY=1", Message{}, 0, ""},
		"a number too large":       {"READY=1\nWATCHDOG_USEC=18446744073709551615", Message{Ready: true}, 0, "WATCHDOG_USEC"},
		"the largest":              {"WATCHDOG_USEC=9223372036854775", Message{WatchdogInterval: math.MaxInt64 / 1000 * time.Microsecond}, 0, ""},
		"a negative number":        {"EXTEND_TIMEOUT_USEC=-1", Message{}, 0, "EXTEND_TIMEOUT_USEC"},
		"no number":                {"ERRNO=secret", Message{}, 0, "ERRNO"},
		"a code no process has":    {"EXIT_STATUS=256", Message{}, 0, "EXIT_STATUS"},
		"no assignment, and one":   {"secret\nREADY=1", Message{Ready: true}, 0, "no assignment"},
		"empty":                    {"", Message{}, 0, "empty"},
		"zero byte in the middle":  {"READY=1\x00STATUS=x", Message{}, 0, "zero byte"},
		"nothing but a zero byte":  {"\x00", Message{}, 0, "empty"},
		"a status for a terminal":  {"STATUS=\x1b[31mred\tü\u202e", Message{Status: new("\ufffd[31mred\ufffdü\ufffd")}, 0, ""},
		"a status that is no text": {"STATUS=a\xff\xfeb", Message{Status: new("a\ufffd\ufffdb")}, 0, ""},
	} {
		got, heard, ignored, err := parse([]byte(c.text))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if (err == nil) != (c.fault == "") || err != nil && (!strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: error %v, want %q", name, err, c.fault)
		}
		if heard != (got != Message{}) || ignored != c.ignored {
			t.Errorf("%s: heard %v, %d ignored", name, heard, ignored)
		}
	}
}

func TestALongStatusIsCutBetweenCharacters(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("x", 300):       strings.Repeat("x", 256),
		strings.Repeat("ü", 300):       strings.Repeat("ü", 128),
		"x" + strings.Repeat("ü", 300): "x" + strings.Repeat("ü", 127),
		strings.Repeat("\x00", 300):    strings.Repeat("\ufffd", 85),
	} {
		if got := printable(text); got != want {
			t.Errorf("%q", got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"READY=1\nSTATUS=ok", "WATCHDOG=trigger", "STATUS=\xff", "=\n==\n", "EXTEND_TIMEOUT_USEC=9999999999999999999",
		"MAINPID=1", "\x00", "BARRIER=1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, heard, ignored, err := parse(text)
		if m.Status != nil {
			if len(*m.Status) > longestStatus || !utf8.ValidString(*m.Status) {
				t.Errorf("status %q", *m.Status)
			}
			for _, r := range *m.Status {
				if !unicode.IsPrint(r) && r != utf8.RuneError {
					t.Errorf("%q in a status", r)
				}
			}
		}
		if m.ExtendTimeout < 0 || m.WatchdogInterval < 0 || m.Monotonic < 0 || m.Errno < 0 || ignored < 0 {
			t.Errorf("%+v", m)
		}
		if !heard && (m != Message{}) {
			t.Errorf("not heard: %+v", m)
		}
		if err != nil && len(err.Error()) > 80 {
			t.Errorf("%v", err)
		}
		if strings.HasPrefix(string(text), "READY=1\n") && !m.Ready && err == nil {
			t.Error("not ready")
		}
	})
}

func TestAFloodIsTakenSlowly(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	for i := range burst {
		if d := p.next(now); d != 0 {
			t.Fatalf("message %d of a burst waits %v", i, d)
		}
	}
	for i := range 3 {
		d := p.next(now)
		if d != every {
			t.Fatalf("message %d after the burst waits %v", i, d)
		}
		now = now.Add(d)
	}
	now = now.Add(10 * every)
	for i := range 10 {
		if d := p.next(now); d != 0 {
			t.Fatalf("after a break message %d waits %v", i, d)
		}
	}
	if d := p.next(now); d != every {
		t.Errorf("then one waits %v", d)
	}
	now = now.Add(time.Hour)
	n := 0
	for p.next(now) == 0 {
		n++
	}
	if n != burst {
		t.Errorf("after an hour %d are let through", n)
	}
}

func TestASenderFromOutsideOurNamespaceIsAnonymous(t *testing.T) {
	var got []Refusal
	s := New(Options{
		Owner:   func(int, int) (int, int, bool) { t.Error("asked whose process 0 is"); return 1, 1, true },
		Heard:   func(m Message) { t.Errorf("heard %+v", m) },
		Refused: func(r Refusal) { got = append(got, r) },
	})
	s.judge(1, &received{text: []byte("READY=1"), uid: -1})
	if want := (Refusal{Slot: 1, UID: -1, Reason: Anonymous}); len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
}

func TestNamesOfSocketsDoNotCollide(t *testing.T) {
	a, err := listen("", "notify", 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := listen("/"+strings.Repeat("x", longestPath), "notify", 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if a.address == b.address || a.address[0] != '@' || b.address[0] != '@' {
		t.Errorf("%q and %q", a.address, b.address)
	}
	if got := strconv.Itoa(len(a.address)); len(a.address) > longestPath {
		t.Error(got)
	}
	_, _ = a.unbind(), b.unbind()
}
