package scraping

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/probe"
	"github.com/brood-init/brood/metrics/merge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const plain = "text/plain; version=0.0.4"

func asText() merge.Style {
	return merge.Style{Format: merge.Text, Escaping: model.NoEscaping, ContentType: plain}
}

// brood is some workers, each with a socket of its own.
type brood struct {
	*Scraper
	targets atomic.Pointer[[]Target]
	panics  atomic.Int64
	// connections that workers have had.
	connections atomic.Int64
	missing     chan string
	dir         string
}

func newBrood(t *testing.T, workers ...http.Handler) *brood {
	t.Helper()
	b := &brood{dir: t.TempDir(), missing: make(chan string, 100)}
	page, err := probe.ParsePage("unix://" + b.dir + "/{slot}.sock:/metrics")
	if err != nil {
		t.Fatal(err)
	}
	var targets []Target
	for i, h := range workers {
		slot := i + 1
		targets = append(targets, Target{Slot: slot, Incarnation: 1, Place: expand.Values{Slot: slot, Index: i, Count: len(workers)}})
		if h == nil {
			continue // nobody listens
		}
		l, err := net.Listen("unix", filepath.Join(b.dir, fmt.Sprint(slot)+".sock"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(h)
		server.Listener.Close()
		server.Listener = l
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				b.connections.Add(1)
			}
		}
		server.Start()
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	}
	b.targets.Store(&targets)
	b.Scraper = New(Options{
		Page: page, Targets: func() []Target { return *b.targets.Load() }, Rules: merge.Rules{Label: "worker"},
		Missing: func(t Target, reason string, _ error) {
			b.missing <- fmt.Sprint(t.Slot, ".", t.Incarnation, " ", reason)
		},
		Panicked: func(any, []byte) { b.panics.Add(1) },
	})
	b.patience = 10 * time.Second // the machine may be busy
	t.Cleanup(func() { b.clients.keep(nil) })
	return b
}

// collect asks everybody, and returns the page.
func (b *brood) collect(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := b.Collect(ctx, asText(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	return string(c.Page)
}

func says(page string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", plain)
		_, _ = io.WriteString(w, page)
	}
}

// zipped compresses what a worker says, asked or not.
func zipped(page io.Reader) http.HandlerFunc {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	_, _ = io.Copy(zip, page)
	_ = zip.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", plain)
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(body.Bytes())
	}
}

func manySeries(n int) string {
	var page strings.Builder
	for i := range n {
		fmt.Fprintf(&page, "a{b=\"%d\"} 1\n", i)
	}
	return page.String()
}

func TestWhatIsMissingIsToldOnceForAProcess(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	b := newBrood(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			_, _ = io.WriteString(w, "no metrics")
			return
		}
		http.Error(w, "later", http.StatusTeapot)
	}))
	var said []string
	collect := func(times int) {
		for range times {
			b.collect(t)
		}
		for len(b.missing) > 0 {
			said = append(said, <-b.missing)
		}
	}
	collect(3)
	broken.Store(true)
	collect(3)
	broken.Store(false)
	collect(3)
	b.targets.Store(&[]Target{{Slot: 1, Incarnation: 2, Place: expand.Values{Slot: 1, Count: 1}}})
	collect(2)
	if want := []string{"1.1 status", "1.1 format", "1.2 status"}; !slices.Equal(said, want) {
		t.Errorf("it says %q, not %q", said, want)
	}
}

func TestWhoHasLittleTimeIsAnsweredInIt(t *testing.T) {
	t.Parallel()
	b := newBrood(t, says("a 1\n"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	c, err := b.Collect(ctx, asText(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if !strings.Contains(string(c.Page), `a{worker="1"} 1`) {
		t.Errorf("the page is %q", c.Page)
	}
}

func TestThoseWhoAskAtTheSameTimeShareARound(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	held := make(chan struct{})
	b := newBrood(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-held
		_, _ = io.WriteString(w, "a 1\n")
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var all sync.WaitGroup
	ask := func(ctx context.Context, failing bool) {
		c, err := b.Collect(ctx, asText(), nil)
		if failing {
			if err == nil {
				t.Error("who has gone was answered")
			}
			return
		}
		if err != nil || string(c.Page) != "# TYPE a untyped\na{worker=\"1\"} 1\n" {
			t.Errorf("%q, %v", c.Page, err)
		}
		c.Release()
	}
	all.Go(func() { ask(ctx, false) })
	until(t, "the worker is asked", func() bool { return asked.Load() == 1 })
	later, cancelLater := context.WithTimeout(t.Context(), time.Minute)
	defer cancelLater()
	gone, leave := context.WithTimeout(t.Context(), time.Minute)
	for range 20 {
		all.Go(func() { ask(later, false) })
	}
	all.Go(func() { ask(gone, true) })
	until(t, "all have joined", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, r := range b.rounds {
			return r.users == 23
		}
		return false
	})
	leave()
	until(t, "one has gone", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, r := range b.rounds {
			return r.users == 22
		}
		return false
	})
	close(held)
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the worker was asked %d times", n)
	}
	ask(later, false)
	if n := asked.Load(); n != 2 {
		t.Errorf("a later round was none: asked %d times", n)
	}
}

func TestAConnectionLastsAsLongAsTheProcess(t *testing.T) {
	t.Parallel()
	var cookies atomic.Int64
	b := newBrood(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies.Add(int64(len(r.Cookies())))
		w.Header().Set("Set-Cookie", "a=b")
		_, _ = io.WriteString(w, "a 1\n")
	}))
	for range 5 {
		b.collect(t)
	}
	if n := b.connections.Load(); n != 1 {
		t.Errorf("five rounds took %d connections", n)
	}
	b.targets.Store(&[]Target{{Slot: 1, Incarnation: 2, Place: expand.Values{Slot: 1, Count: 1}}})
	b.collect(t)
	if n := b.connections.Load(); n != 2 {
		t.Errorf("another process is asked over the connection to the one before: %d connections", n)
	}
	b.targets.Store(&[]Target{})
	b.collect(t)
	if n := len(b.clients.bySlot); n != 0 {
		t.Error("the client of a slot that is gone stays")
	}
	if n := cookies.Load(); n != 0 {
		t.Errorf("%d cookies came back", n)
	}
}

func TestWorkersAreAskedForThePagesFormat(t *testing.T) {
	t.Parallel()
	var got atomic.Pointer[http.Header]
	b := newBrood(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(&r.Header)
		_, _ = io.WriteString(w, "a 1\n")
	}))
	for _, contentType := range []string{
		plain + "; charset=utf-8; escaping=allow-utf-8",
		"application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores",
	} {
		style, ok := merge.StyleOf(contentType)
		if !ok {
			t.Fatal(contentType)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		c, err := b.Collect(ctx, style, nil)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
		h := *got.Load()
		media, _, _ := strings.Cut(contentType, ";")
		if accept := h.Get("Accept"); !strings.HasPrefix(accept, media) || !strings.Contains(accept, "text/plain;version=0.0.4") {
			t.Errorf("for %s it is %s", contentType, accept)
		}
		if h.Get("Accept-Encoding") != "identity" || h.Get("X-Prometheus-Scrape-Timeout-Seconds") == "" {
			t.Errorf("the request has %v", h)
		}
	}
}

// What is kept of big pages between scrapes is bounded, and goes in time.
func TestManyBigRoundsNeedNoMoreMemoryThanAFew(t *testing.T) {
	workers := make([]http.Handler, 8)
	for i := range workers {
		workers[i] = says(manySeries(1000))
	}
	b := newBrood(t, workers...)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // what pools hold goes with the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range 5 {
		b.collect(t)
	}
	before := heap()
	for range 40 {
		b.collect(t)
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("%d KB have become %d KB", before>>10, after>>10)
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(time.Millisecond); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		errStatus: "status", errTooLarge: "too_large", merge.ErrSamples: "too_large", merge.ErrFormat: "format", errEncoding: "format",
		context.DeadlineExceeded: "timeout", os.ErrDeadlineExceeded: "timeout", io.ErrUnexpectedEOF: "unreachable", errors.New("x"): "unreachable",
	} {
		if got := Failures()[reasonOf(err)]; got != want {
			t.Errorf("%v is %s", err, got)
		}
	}
	if len(Failures()) != int(failureCount) || len(Drops()) != dropCount {
		t.Error("the names are not as many as what they name")
	}
}
