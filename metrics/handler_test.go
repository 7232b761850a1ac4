package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

func get(h http.Handler, method string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/metrics", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFormats(t *testing.T) {
	h := Handler(story(t, "usage-v2", Full), HandlerOptions{})
	for accept, want := range map[string]string{
		"":              "text/plain; version=0.0.4",
		"*/*":           "text/plain; version=0.0.4",
		"application/x": "text/plain; version=0.0.4",
		"application/openmetrics-text;version=1.0.0,text/plain;q=0.5":                                "application/openmetrics-text; version=1.0.0",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf",
	} {
		w := get(h, http.MethodGet, "Accept", accept)
		if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, want) {
			t.Errorf("%q: %d, %s; want %s", accept, w.Code, got, want)
		}
		decoder := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header()))
		families := 0
		for mf := new(dto.MetricFamily); ; mf.Reset() {
			err := decoder.Decode(mf)
			if errors.Is(err, io.EOF) {
				break
			}
			if strings.Contains(want, "openmetrics") {
				families = len(table()) // there is no decoder for it
				break
			}
			if err != nil {
				t.Errorf("%q: %v", accept, err)
				break
			}
			families++
		}
		if families < 50 {
			t.Errorf("%q: %d families", accept, families)
		}
	}
}

func TestOpenMetricsIsWhole(t *testing.T) {
	w := get(Handler(story(t, "usage-v2", Short), HandlerOptions{}), http.MethodGet, "Accept", "application/openmetrics-text;version=1.0.0")
	golden(t, "openmetrics.txt", w.Body.Bytes())
}

func TestGzip(t *testing.T) {
	h := Handler(story(t, "", Short), HandlerOptions{})
	plainly := get(h, http.MethodGet).Body.Bytes()
	w := get(h, http.MethodGet, "Accept-Encoding", "gzip")
	if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > len(plainly)/3 {
		t.Errorf("%d bytes, %v", w.Body.Len(), w.Header())
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, plainly) {
		t.Errorf("unzipped, it is another page: %v", err)
	}
	if w := get(h, http.MethodGet, "Accept-Encoding", "zstd, br"); w.Header().Get("Content-Encoding") != "" {
		t.Errorf("got %v", w.Header())
	}
}

func TestNameFilterMethodsAndCounts(t *testing.T) {
	table := NewTable()
	h := Handler(newTestGatherer(t, newFakeProc(t), "", Options{Table: table}), HandlerOptions{Table: table})
	r := httptest.NewRequest(http.MethodGet, "/metrics?name[]=brood_panics_total", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Body.String(); strings.Count(got, "# TYPE") != 1 || !strings.Contains(got, "brood_panics_total 0\n") {
		t.Errorf("got %s", got)
	}
	if w := get(h, http.MethodPost); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("got %d, %v", w.Code, w.Header())
	}
	if w := get(h, http.MethodHead); w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
	if page := get(h, http.MethodGet).Body.String(); !strings.Contains(page, "brood_metrics_requests_total{code=\"200\"} 2\n") ||
		!strings.Contains(page, "brood_metrics_requests_total{code=\"405\"} 1\n") {
		t.Error("requests are not counted")
	}
}

// stub is a gatherer that does as it is told.
type stub func() ([]*dto.MetricFamily, func(), error)

func (s stub) Gather() ([]*dto.MetricFamily, func(), error) { return s() }

var _ prometheus.TransactionalGatherer = stub(nil)

func TestAPanicIsAnAnswer(t *testing.T) {
	type told struct {
		value any
		stack []byte
	}
	panicked := make(chan told, 1)
	broken := true
	g := newTestGatherer(t, newFakeProc(t), "", Options{Table: NewTable()})
	h := Handler(stub(func() ([]*dto.MetricFamily, func(), error) {
		if broken {
			panic("a mistake")
		}
		return g.Gather()
	}), HandlerOptions{Table: g.options.Table, Panicked: func(v any, stack []byte) { panicked <- told{v, stack} }})

	w := get(h, http.MethodGet)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "mistake") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if got := <-panicked; got.value != "a mistake" || !bytes.Contains(got.stack, []byte("handler_test.go")) {
		t.Errorf("told of %v at\n%s", got.value, got.stack)
	}
	broken = false
	if w := get(h, http.MethodGet); w.Code != 200 || !strings.Contains(w.Body.String(), `brood_metrics_requests_total{code="500"} 1`) {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func TestAPanicInTheGathererLeavesItUsable(t *testing.T) {
	g := newTestGatherer(t, newFakeProc(t), "", Options{Table: NewTable()})
	snapshot := g.options.Snapshot
	g.options.CountSource = nil
	table := g.options.Table
	g.options.Table = nil
	h := Handler(g, HandlerOptions{})
	if w := get(h, http.MethodGet); w.Code != http.StatusInternalServerError {
		t.Errorf("got %d", w.Code)
	}
	g.options.Table, g.options.Snapshot = table, snapshot
	if w := get(h, http.MethodGet); w.Code != 200 {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func TestNobodyWaitsForAGathererThatHangs(t *testing.T) {
	hang := make(chan struct{})
	gathering := make(chan struct{}, 1)
	h := Handler(stub(func() ([]*dto.MetricFamily, func(), error) {
		gathering <- struct{}{}
		<-hang
		return nil, func() {}, errors.New("nothing")
	}), HandlerOptions{InFlight: 2})
	for range 3 { // the second and third one do not even begin
		if w := get(h, http.MethodGet, "X-Prometheus-Scrape-Timeout-Seconds", "0.02"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
	if len(gathering) != 1 {
		t.Errorf("%d pages were begun", len(gathering))
	}
	close(hang)
	<-gathering
	if w := get(h, http.MethodGet); w.Code != http.StatusInternalServerError {
		t.Errorf("a page of nothing but an error: %d", w.Code)
	}
	<-gathering
}

func TestRequestsBeyondTheBoundWaitAndAreRefused(t *testing.T) {
	h := Handler(story(t, "", Short), HandlerOptions{InFlight: 1}).(*handler)
	h.places <- struct{}{}
	w := get(h, http.MethodGet, "X-Prometheus-Scrape-Timeout-Seconds", "0.02")
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
	answered := make(chan int)
	go func() { answered <- get(h, http.MethodGet).Code }()
	<-h.places
	if code := <-answered; code != 200 {
		t.Errorf("got %d", code)
	}
}

func TestTheScrapersTimeoutIsBelieved(t *testing.T) {
	h := Handler(stub(nil), HandlerOptions{}).(*handler)
	for header, want := range map[string]time.Duration{
		"": 5 * time.Second, "10": 5 * time.Second, "5": 4500 * time.Millisecond, "1.5": time.Second, "0.5": 250 * time.Millisecond,
		"0": 5 * time.Second, "-3": 5 * time.Second, "NaN": 5 * time.Second, "+Inf": 5 * time.Second, "1e300": 5 * time.Second, "x": 5 * time.Second,
	} {
		if got := h.timeout(http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// stuckWriter is a client that does not read.
type stuckWriter struct {
	*httptest.ResponseRecorder
	writing chan struct{}
	release chan struct{}
}

func (w stuckWriter) Write(b []byte) (int, error) {
	w.writing <- struct{}{}
	<-w.release
	return w.ResponseRecorder.Write(b)
}

func TestASlowClientHoldsNobodyUp(t *testing.T) {
	g := story(t, "", Full)
	h := Handler(g, HandlerOptions{InFlight: 4})
	slow := stuckWriter{httptest.NewRecorder(), make(chan struct{}, 3), make(chan struct{})}
	ended := make(chan struct{})
	for range 3 {
		go func() {
			h.ServeHTTP(stuckWriter{httptest.NewRecorder(), slow.writing, slow.release}, httptest.NewRequest(http.MethodGet, "/", nil))
			ended <- struct{}{}
		}()
	}
	for range 3 {
		<-slow.writing
	}
	if w := get(h, http.MethodGet); w.Code != 200 {
		t.Errorf("with three slow clients: %d", w.Code)
	}
	if len(scrape(t, g)) == 0 { // would wait for ever if somebody held the gatherer
		t.Error("an empty page")
	}
	close(slow.release)
	for range 3 {
		<-ended
	}
}

func TestAClientThatNeverReadsIsCutOff(t *testing.T) {
	big := new(dto.MetricFamily)
	name, kind, value, help := "brood_big", dto.MetricType_GAUGE, 1.0, strings.Repeat("x", 64<<20)
	big.Name, big.Type, big.Help = &name, &kind, &help
	big.Metric = []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}}
	h := Handler(stub(func() ([]*dto.MetricFamily, func(), error) {
		return []*dto.MetricFamily{big}, func() {}, nil
	}), HandlerOptions{WriteTimeout: 50 * time.Millisecond})
	served := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		close(served)
	}))
	defer server.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-served
}

func TestAClientThatLeavesIsNoTrouble(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := Handler(story(t, "", Short), HandlerOptions{}).(*handler)
	for range 50 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	}
	if len(h.places) != 0 {
		t.Errorf("%d places are still taken", len(h.places))
	}
	h.turn <- struct{}{} // the last page's goroutine gives it back
}

func TestGzipIsForThoseWhoLikeItBetter(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "gzip, deflate, br": true, "br;q=1.0, gzip;q=0.8": true, "*": false, "*;q=0.5": false,
		"gzip;q=0": false, "gzip;q=none": false, "identity": false, "gzip, identity": false, "gzip;q=1.0, identity;q=0.5, *;q=0": true,
		"gzip;q=0.3, identity;q=0.5": false, "zstd, br": false, "identity;q=0, *": true, "*;q=0.5, gzip;q=1.0": true,
	} {
		if got := wantsGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	if wantsGzip(nil) {
		t.Error("without the header a page was compressed")
	}
}
