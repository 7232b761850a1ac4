package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
)

// saying is a brood that answers everything with the same text.
type saying string

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(strings.NewReader(string(s))), r)
}

// Whatever comes from the other end of the socket, it is a good answer only if it
// says so, and what is told of a bad one is a line that a terminal can show.
func FuzzAnswer(f *testing.F) {
	const head = "HTTP/1.1 200 OK\r\n\r\n"
	for _, body := range []string{
		`{"version":1,"pid":7,"slots":[{"slot":1,"state":"ready"}]}`, `{"slots":3}`, `{"ok":true,"from":1,"to":2}`, `{"ok":false}`,
		`{"ok":false,"error":"brood is \u001b[31mstopping\n"}`, "{\"msg\":\"worker started\"}\n{\"ok\":true}\n", "{\"ok\":true}\nx\n",
		`{"OK":true}`, `{"ok":null}`, `[]`, "", "\n\n", `{"ok":true}{"ok":false}`,
	} {
		f.Add(head + body)
	}
	for _, text := range []string{
		"", "HTTP/1.1 503 no\r\n\r\nnot ready: 1 of 2\n", "HTTP/1.1 503 \x1b[31m\r\n\r\n\x1b[2J", "HTTP/1.1 409 x\r\n\r\n" + `{"ok":false,"error":"x"}`,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nx",
		"HTTP/1.1 301 x\r\nLocation: http://b/\r\n\r\n", "HTTP/1.1 500 x\r\n\r\n", head + strings.Repeat("x", 2<<20),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &Client{path: "b.sock", http: http.Client{Transport: saying(text)}}
		told := func(err error) bool {
			if err == nil {
				return false
			}
			line := err.Error()
			if line == "" || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("told is %q", line)
			}
			return true
		}
		code, body, whole := answered(text)
		if _, err := c.Status(t.Context()); told(err) == (code == http.StatusOK && firstIs(body, new(Status))) {
			t.Errorf("status: %v", err)
		}
		if told(c.Health(t.Context(), true)) == (code == http.StatusOK) && whole {
			t.Errorf("healthy with %d, or not", code)
		}
		var r Result
		if _, _, err := c.Scale(t.Context(), "+1"); told(err) == (firstIs(body, &r) && r.OK) {
			t.Errorf("scale: %v", err)
		}
		lines := 0
		count := func([]byte) error { lines++; return nil }
		err := c.Reload(t.Context(), count)
		last := lastResult(body)
		if told(err) == (code == http.StatusOK && last != nil && last.OK && short(body)) {
			t.Errorf("reload: %v", err)
		}
		lines = 0
		err = c.Events(t.Context(), count)
		if told(err) == (code == http.StatusOK && short(body)) {
			t.Errorf("events: %v", err)
		}
		if err == nil && whole && lines != countLines(body) {
			t.Errorf("%d lines of %d", lines, countLines(body))
		}
	})
}

// answered is what net/http makes of an answer; the code is 0 when it is none.
func answered(text string) (code int, body string, whole bool) {
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), &http.Request{Method: http.MethodGet})
	if err != nil {
		return 0, "", false
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, string(all), err == nil
}

func firstIs(body string, into any) bool {
	return json.NewDecoder(strings.NewReader(body)).Decode(into) == nil
}

func lastResult(body string) (last *Result) {
	for line := range strings.Lines(body) {
		if r := asResult([]byte(line)); r != nil {
			last = r
		}
	}
	return last
}

func countLines(body string) (n int) {
	for range strings.Lines(body) {
		n++
	}
	return n
}

// short reports whether every line can be one of brood's.
func short(body string) bool {
	for line := range strings.Lines(body) {
		if len(strings.TrimRight(line, "\n")) >= longestLine {
			return false
		}
	}
	return true
}

// A line that is too long is no sign that the brood has left.
func TestALineWithoutEndIsNoEndOfTheBrood(t *testing.T) {
	c := &Client{path: "b.sock", http: http.Client{Transport: saying("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 2<<20))}}
	if err := c.Stop(t.Context(), func([]byte) error { return nil }); !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("the stop: %v", err)
	}
}
