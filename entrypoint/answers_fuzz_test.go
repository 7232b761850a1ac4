package entrypoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/brood-init/brood/control"
)

// This file gives any answer of another process to those who show it to a person.

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// Whatever a daemon says of its start, what is told of it is one line and the
// code is one of an init script's; and it is what the daemon has said.
func FuzzStartReport(f *testing.F) {
	for _, text := range []string{
		`{"ok":true,"workers":3}`, `{"ok":true,"completed":true}`, `{"ok":true,"workers":1}` + "\n", `{"code":127,"error":"not found","began":true}`,
		`{"code":64,"error":"cannot use --x \"y\"\nwant z"}`, `{"taken":true,"error":"another one runs"}`, `{"not_permitted":true,"code":1}`,
		`{"code":0,"error":"\u001b[31mred"}`, `{"ok":1}`, `{"ok":tr`, "", "null", "[]", `{"workers":-1,"ok":true}{"ok":false}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, said := readReport(strings.NewReader(text))
		if !said {
			if json.NewDecoder(strings.NewReader(text)).Decode(new(startReport)) == nil {
				t.Errorf("%q is not heard", text)
			}
			return
		}
		if line := s.success(); strings.ContainsFunc(line, unprintable) {
			t.Errorf("%q", line)
		}
		told, code := "", 0
		throughPipe(t, func(w *os.File) { code = (&daemon{cfg: new(Config), stderr: w}).failedStart(s) }, func(r io.Reader) {
			text, _ := io.ReadAll(r)
			told = string(text)
		})
		if !slices.Contains([]int{1, 2, 4, 5}, code) {
			t.Errorf("%q is the code %d", text, code)
		}
		if line := strings.TrimSuffix(told, "\n"); line == told || strings.ContainsFunc(line, unprintable) || !strings.Contains(line, ": cannot start: ") {
			t.Errorf("told is %q", told)
		}
		throughPipe(t, func(w *os.File) { newStartReporter(w).say(s) }, func(r io.Reader) {
			if again, said := readReport(r); !said || again != s {
				t.Errorf("said is %+v, heard %+v", s, again)
			}
		})
	})
}

// throughPipe reads what is written.
func throughPipe(t *testing.T, write func(*os.File), read func(io.Reader)) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close() // who says something once has closed it
		write(w)
	}()
	read(r)
	<-done
}

// Whatever the events are, a user who waits sees those that were asked for, one
// line for each.
func FuzzProgress(f *testing.F) {
	for _, text := range []string{
		`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"worker exited","slot":3,"pid":77,"code":0,"reason":"completed"}`,
		`{"msg":"worker exited","code":137,"reason":"\u001b[2Jkilled\n"}`, `{"msg":"worker exited\nworker exited"}`, `{"msg":"reloaded","slot":-1}`,
		`{"msg":"worker started"}`, `{"msg":3}`, `{"msg":"worker exited","code":1e3}`, `{}`, `[]`, "", `{"MSG":"reloaded"}`,
	} {
		f.Add([]byte(text))
	}
	wanted := []string{"worker exited", "reloaded"}
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		if err := showProgress(&out, text, wanted...); err != nil {
			t.Fatal(err)
		}
		line, ended := strings.CutSuffix(out.String(), "\n")
		begins := slices.ContainsFunc(wanted, func(m string) bool { return strings.HasPrefix(line, m) })
		if out.Len() > 0 && (!ended || !begins || strings.ContainsFunc(line, unprintable)) {
			t.Errorf("shown is %q", out.String())
		}
		if !json.Valid(text) && out.Len() > 0 {
			t.Errorf("%q is shown", text)
		}
	})
}

// Whatever the status is, each slot is one row of the table.
func FuzzStatus(f *testing.F) {
	for _, text := range []string{
		`{"serves":true,"slots":[{"slot":1,"pid":7,"state":"ready","ready":true,"uptime_seconds":3.5,"cpu_seconds":0.1,"rss_bytes":1048576}]}`,
		`{"reason":"not ready: draining","slots":[{"slot":2,"state":"failed","last_exit":{"code":137,"signal":"SIGKILL","reason":"oom","last_line":"a\tb"}}]}`,
		`{"slots":[{"state":"a\nb","status":"\u001b[31m","replacing":"\t","leaks":{"zombies":1},"last_exit":{"reason":"\r","signal":"\n","last_line":"\n"}}]}`,
		`{"registered":[{"index":1,"pid":2,"comm":"x\n"}],"reason":"\n"}`, `{"slots":[{"pid":1,"uptime_seconds":1e300,"rss_bytes":-9223372036854775808}]}`,
		`{"slots":[{"pid":1,"uptime_seconds":7200,"reloading":true}]}`, `{}`, `null`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s control.Status
		if json.Unmarshal(text, &s) != nil {
			return
		}
		for _, output := range []string{"text", "wide"} {
			var out bytes.Buffer
			if err := writeStatus(&out, s, output); err != nil {
				t.Fatal(err)
			}
			rows := 1 + len(s.Slots) + len(s.Registered)
			if !s.Serves {
				rows++
			}
			lines := strings.SplitAfter(out.String(), "\n")
			if len(lines) != rows+1 || lines[rows] != "" {
				t.Errorf("%d rows, want %d: %q", len(lines)-1, rows, out.String())
			}
			for _, line := range lines {
				if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), unprintable) {
					t.Errorf("%q", line)
				}
			}
		}
		var out bytes.Buffer
		if err := writeStatus(&out, s, "json"); err != nil || !json.Valid(out.Bytes()) {
			t.Errorf("%q: %v", out.String(), err)
		}
	})
}

// Words are the numbers of slots, all of them, or one of them is named.
func FuzzSlots(f *testing.F) {
	for _, words := range []string{"", "1", "1 2 2", "0", "-1", "+3", "03", "1 x", "99999999999999999999", "1\t2", "１"} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		args := strings.Split(words, " ")
		if words == "" {
			args = nil
		}
		bad := slices.IndexFunc(args, func(word string) bool {
			n, err := strconv.Atoi(word)
			return err != nil || n < 1
		})
		slots, err := parseSlots(args)
		if bad >= 0 {
			usage, ok := errors.AsType[*UsageError](err)
			if !ok || usage.Value != args[bad] || strings.ContainsFunc(err.Error(), unprintable) {
				t.Errorf("%q: %v", words, err)
			}
			return
		}
		if err != nil || len(slots) > len(args) {
			t.Errorf("%q: %v, %v", words, slots, err)
		}
		for _, word := range args {
			if n, _ := strconv.Atoi(word); !slots[n] {
				t.Errorf("%q: %d is missing in %v", words, n, slots)
			}
		}
	})
}
