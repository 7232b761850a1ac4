package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
)

// asked is what a server was made to do.
type asked struct{ reloads, scales, stops int }

// asking returns a server that does nothing but count, at once.
func asking(n *asked, leave func()) *Server {
	return NewServer(Source{
		Snapshot: func() *fanout.Snapshot { return &fanout.Snapshot{Phase: fanout.PhaseRunning, Wanted: 1} },
		Proc:     proc.None,
		Census:   func(time.Duration) *fanout.Census { return nil },
		Look:     func(context.Context) {},
		Serves:   func() error { return errors.New("not ready") },
		Alive:    func(context.Context) error { return nil },
		Reload:   func(answer chan<- error) { n.reloads++; answer <- nil },
		Scale: func(to fanout.Scale, answer chan<- fanout.ScaleResult) {
			n.scales++
			answer <- fanout.ScaleResult{From: 1, To: to.N}
		},
		Stop:     func() { n.stops++; leave() },
		Describe: func(fanout.Event) (slog.Level, string, []slog.Attr) { return slog.LevelInfo, "", nil },
	})
}

// watching is a recorder that takes what streams want of a connection; who only
// watches has seen enough at once.
type watching struct {
	*httptest.ResponseRecorder
	enough func()
}

func (watching) SetWriteDeadline(time.Time) error { return nil }

func (w watching) FlushError() error {
	w.enough()
	return nil
}

// Whatever is asked, only a POST to the very path makes brood do something, once;
// and all answers can be read by who has asked.
func FuzzRequest(f *testing.F) {
	for _, line := range []string{
		"GET /v1/status", "HEAD /v1/status", "GET /v1/events", "GET /readyz", "GET /livez?verbose", "POST /v1/reload",
		"POST /v1/stop", "POST /v1/scale?to=3", "POST /v1/scale?to=%2B1", "POST /v1/scale?to=auto", "POST /v1/scale?to=x&to=3",
		"POST /v1/scale?to=%zz", "GET /v1/scale?to=3", "DELETE /v1/stop", "POST /v1/stop/", "POST //v1/stop", "POST /v1/./stop",
		"POST /v1/sto%70", "POST http://other/v1/stop", "OPTIONS *", "CONNECT b:80", "PRI *", "GET /", "POST /v1/stop#x",
	} {
		f.Add(line, "Host: b", "")
	}
	f.Add("POST /v1/scale", "Host: b\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4", "to=3")
	f.Add("POST /v1/reload", "Transfer-Encoding: chunked\r\nHost: b", "1\r\nx\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, line, header, body string) {
		text := line + " HTTP/1.1\r\n" + header + "\r\n\r\n" + body
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var n asked
		w := watching{httptest.NewRecorder(), func() {
			if r.URL.Path == "/v1/events" {
				leave()
			}
		}}
		asking(&n, leave).handler().ServeHTTP(w, r.WithContext(ctx))

		var want asked
		if r.Method == http.MethodPost {
			switch r.URL.Path {
			case "/v1/reload":
				want.reloads = 1
			case "/v1/stop":
				want.stops = 1
			case "/v1/scale":
				if _, err := ParseScale(r.URL.Query().Get("to")); err == nil {
					want.scales = 1
				}
			}
		}
		if n != want {
			t.Errorf("%s %s has led to %+v, want %+v", r.Method, r.URL, n, want)
		}
		checkAnswer(t, w.ResponseRecorder)
	})
}

func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if !slices.Contains([]int{200, 301, 307, 400, 404, 405, 503}, w.Code) {
		t.Errorf("the code is %d", w.Code)
	}
	body := w.Body.Bytes()
	switch kind := w.Header().Get("Content-Type"); kind {
	case "application/json":
		if !json.Valid(body) {
			t.Errorf("the answer is %q", body)
		}
	case "application/x-ndjson":
		for line := range bytes.Lines(body) {
			if !json.Valid(line) {
				t.Errorf("a line is %q", line)
			}
		}
	default:
		if w.Code == http.StatusOK && string(body) != "ok\n" {
			t.Errorf("%s: %q", kind, body)
		}
	}
}
