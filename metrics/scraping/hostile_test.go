package scraping

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAWorkerThatMisbehavesCostsOnlyItsOwnSeries(t *testing.T) {
	t.Parallel()
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for line := bytes.Repeat([]byte("x"), 1<<16); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
	trickles := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "a 1\n"); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	dies := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "a 1\n")
		panic(http.ErrAbortHandler)
	}
	moved := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
	}
	html := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<p>Hello")
	}
	brotli := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		_, _ = io.WriteString(w, "a 1\n")
	}
	noZip := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, manySeries(9))
	}
	headers := func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
		}
	}
	for name, c := range map[string]struct {
		worker http.Handler
		reason string
	}{
		"nobody listens":           {nil, "unreachable"},
		"dies in its answer":       {http.HandlerFunc(dies), "unreachable"},
		"100 KB of headers":        {http.HandlerFunc(headers), "unreachable"},
		"hangs":                    {http.HandlerFunc(hangs), "timeout"},
		"a line now and then":      {http.HandlerFunc(trickles), "timeout"},
		"not found":                {http.NotFoundHandler(), "status"},
		"a redirect":               {http.HandlerFunc(moved), "status"},
		"HTML":                     {http.HandlerFunc(html), "format"},
		"garbage":                  {says("\x00\x01\x02\n"), "format"},
		"a line of a megabyte":     {says(strings.Repeat("x", 1<<20) + "\n"), "format"},
		"another compression":      {http.HandlerFunc(brotli), "format"},
		"no compression":           {http.HandlerFunc(noZip), "format"},
		"without end":              {http.HandlerFunc(endless), "too_large"},
		"a bomb":                   {zipped(io.LimitReader(zeros{}, 64<<20)), "too_large"},
		"25,000 series":            {says(manySeries(25_000)), "too_large"},
		"25,000 series compressed": {zipped(strings.NewReader(manySeries(25_000))), "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBrood(t, says("a 1\n"), c.worker, zipped(strings.NewReader("a 3\n")))
			if c.reason == "timeout" {
				b.patience = 2 * time.Second
			}
			begun := time.Now()
			page := b.collect(t)
			if took := time.Since(begun); took > b.patience+4*time.Second { // there are 24 s
				t.Errorf("it took %s", took)
			}
			if want := "# TYPE a untyped\na{worker=\"1\"} 1\na{worker=\"3\"} 3\n"; page != want {
				t.Errorf("the page is %.1000q", page)
			}
			for i, r := range b.Last() {
				if r.Slot != i+1 || r.Up != (i != 1) || r.Took <= 0 || r.Up != (r.Samples == 1) {
					t.Errorf("result %+v", r)
				}
			}
			for i, reason := range Failures() {
				want := uint64(0)
				if reason == c.reason {
					want = 1
				}
				if n := b.Failed()[i]; n != want {
					t.Errorf("%s is counted %d times", reason, n)
				}
			}
			if n := b.room.Load(); n != mostBytes {
				t.Errorf("%d bytes are taken for ever", mostBytes-n)
			}
			if b.panics.Load() != 0 {
				t.Error("there was a panic")
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestAnswersTogetherAreBounded(t *testing.T) {
	t.Parallel()
	workers := make([]http.Handler, 4)
	for i := range workers {
		workers[i] = says(manySeries(1000))
	}
	b := newBrood(t, workers...)
	b.room.Store(int64(5 * len(manySeries(1000)) / 2))
	page := b.collect(t)
	up := 0
	for _, r := range b.Last() {
		if r.Up {
			up++
		}
	}
	if up == 0 || up > 2 || strings.Count(page, "\na{") != up*1000 || b.Failed()[tooLarge] != uint64(4-up) {
		t.Errorf("%d are up, failures are %v", up, b.Failed())
	}
	if b.room.Load() != int64(5*len(manySeries(1000))/2) {
		t.Error("the room has changed")
	}
}

func TestAHundredHangingWorkersTakeNoLongerThanTheirTime(t *testing.T) {
	t.Parallel()
	workers := make([]http.Handler, 100)
	for i := range workers {
		workers[i] = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}
	workers[99] = says("a 1\n")
	b := newBrood(t, workers...)
	b.patience = perWorker
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	begun := time.Now()
	c, err := b.Collect(ctx, asText(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if took := time.Since(begun); took > 10*time.Second { // two times a second, and the round has 16
		t.Errorf("it took %s", took)
	}
	if want := "# TYPE a untyped\na{worker=\"100\"} 1\n"; string(c.Page) != want {
		t.Errorf("the page is %q", c.Page)
	}
}
