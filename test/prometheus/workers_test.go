package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/brood-init/brood/test/internal/harness"
)

// services starts brood with workers that have pages of their own, and waits
// until all of them are ready.
func services(t *testing.T, n int, manners ...string) (b *harness.Brood, address, dir string) {
	t.Helper()
	return servicesWith(t, nil, n, manners...)
}

// servicesWith has more flags for brood.
func servicesWith(t *testing.T, flags []string, n int, manners ...string) (b *harness.Brood, address, dir string) {
	t.Helper()
	return servicesIn(t, harness.Options{}, flags, n, manners...)
}

// servicesIn has brood run as the options say.
func servicesIn(t *testing.T, o harness.Options, flags []string, n int, manners ...string) (b *harness.Brood, address, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	address = harness.Address(t)
	o.Args = slices.Concat([]string{
		"-n", strconv.Itoa(n), "--metrics-addr", address, "--restart-backoff", "50ms..100ms", "--max-restarts", "1000/1m",
		"--ready", "unix://" + dir + "/{slot}.sock", "--worker-metrics", "unix://" + dir + "/{slot}.sock:/metrics",
	}, flags, []string{"--", self, asService, dir}, manners)
	b = harness.Mode{}.StartWith(t, o)
	harness.Until(t, "all workers are ready", func() bool {
		_, err := page("http://" + address + "/readyz")
		return err == nil
	})
	return b, address, dir
}

// pageAs asks for a page in a format.
func pageAs(t *testing.T, address, accept string) (text, contentType string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %v: %s", answer.Status, err, body)
	}
	return string(body), answer.Header.Get("Content-Type")
}

// wantLines are on a page, in this order, each once.
func wantLines(t *testing.T, page string, lines ...string) {
	t.Helper()
	at := 0
	for _, line := range lines {
		i := strings.Index(page[at:], "\n"+line)
		if i < 0 || strings.Count(page, "\n"+line) != 1 {
			t.Errorf("%q is on the page %d times, or in another place", line, strings.Count(page, "\n"+line))
			continue
		}
		at += i
	}
}

// input gives a text to a program that checks it.
func input(t *testing.T, text string, command ...string) {
	t.Helper()
	check := exec.Command(command[0], command[1:]...)
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command[0], err, out)
	}
}

func TestGoWorkersAreOnOnePageInEveryFormat(t *testing.T) {
	t.Parallel()
	b, address, _ := services(t, 2, "well")

	text, _ := pageAs(t, address, "text/plain")
	wantLines(
		t, text,
		"# HELP app_request_duration_seconds Duration", "# TYPE app_request_duration_seconds histogram",
		`app_request_duration_seconds_bucket{worker="1",le="0.1"} 0`, `app_request_duration_seconds_count{worker="1"} 1`,
		`app_request_duration_seconds_bucket{worker="2",le="0.1"} 0`,
		"# TYPE app_requests_total counter", `app_requests_total{worker="1",path="/"} 1`, `app_requests_total{worker="2",path="/"} 1`,
		`app_shard{worker="1",exported_worker="blue"} 1`, `app_size_bytes{worker="2",quantile="0.5"} 512`,
	)
	input(t, text, harness.Need(t, "promtool"), "check", "metrics")

	open, contentType := pageAs(t, address, "application/openmetrics-text;version=1.0.0")
	if !strings.HasPrefix(contentType, "application/openmetrics-text") || !strings.HasSuffix(open, "\n# EOF\n") || strings.Count(open, "# EOF") != 1 {
		t.Errorf("it is no page of OpenMetrics: %s ...%q", contentType, open[max(0, len(open)-100):])
	}
	wantLines(t, open, `# HELP app_requests Requests \"served\".`, "# TYPE app_requests counter", `app_requests_total{worker="1",path="/"} 1.0 # {trace_id="4bf92f35"} 1.0 `)
	wantLines(t, open, `app_request_duration_seconds_bucket{worker="2",le="1.0"} 1 # {trace_id="4bf92f35"} 0.5 `)
	input(t, open, python(t), "-c", "import sys, prometheus_client.openmetrics.parser as p; list(p.text_string_to_metric_families(sys.stdin.read()))")

	binary, contentType := pageAs(t, address, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	families := decode(t, binary, contentType)
	if families["brood_worker_up"] == nil || families["app_requests_total"] == nil {
		t.Fatal("brood's own families or the workers' are missing")
	}
	for i, m := range families["app_request_duration_seconds"].GetMetric() {
		if m.Histogram.Schema == nil || len(m.Histogram.PositiveSpan) == 0 || len(m.Histogram.Exemplars) == 0 {
			t.Errorf("the native histogram is none any more: %v", m)
		}
		if m.Label[0].GetName() != "worker" || m.Label[0].GetValue() != strconv.Itoa(i+1) {
			t.Errorf("its labels are %v", m.Label)
		}
	}
	if families["app_requests_total"].Metric[1].Counter.Exemplar == nil {
		t.Error("the exemplar is gone")
	}
	b.Stop(t, 0)
}

func decode(t *testing.T, page, contentType string) map[string]*dto.MetricFamily {
	t.Helper()
	header := http.Header{"Content-Type": {contentType}}
	decoder := expfmt.NewDecoder(strings.NewReader(page), expfmt.ResponseFormat(header))
	families := map[string]*dto.MetricFamily{}
	for {
		mf := new(dto.MetricFamily)
		if err := decoder.Decode(mf); errors.Is(err, io.EOF) {
			return families
		} else if err != nil {
			t.Fatal(err)
		}
		if families[mf.GetName()] != nil {
			t.Errorf("%s is there twice", mf.GetName())
		}
		families[mf.GetName()] = mf
	}
}

// figures are what a page in text says, by series.
func figures(t *testing.T, address string) map[string]float64 {
	t.Helper()
	text, err := page("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for name, mf := range families {
		for _, m := range mf.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all[name+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return all
}

func TestBadWorkersCostOnlyTheirOwnSeries(t *testing.T) {
	t.Parallel()
	b, address, _ := services(t, 6, "well", "hang", "garbage", "endless", "die", "well")
	first := b.Slot(5)
	for range 5 {
		begun := time.Now()
		got := figures(t, address)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("a scrape took %s", took)
		}
		for slot := 1; slot <= 6; slot++ {
			series, isUp := fmt.Sprintf("app_requests_total{worker=%d,path=/}", slot), fmt.Sprintf("brood_scrape_up{worker=%d}", slot)
			up, asked := got[isUp]
			want := 0.0
			if slot == 1 || slot == 6 {
				want = 1
			}
			if _, there := got[series]; there != (want == 1) || up != want || !asked && slot != 5 {
				t.Errorf("worker %d: %s %v, series there: %v", slot, isUp, up, there)
			}
		}
	}
	got := figures(t, address)
	for _, reason := range []string{"timeout", "format", "too_large", "unreachable"} {
		if got["brood_scrape_failures_total{reason="+reason+"}"] == 0 {
			t.Errorf("no failure is counted as %s: %v", reason, got)
		}
	}
	b.SlotAfter(5, first)
	b.Stop(t, 0)
	if n := b.Stderr.Count("metrics of a worker are missing", "slot=3", "reason=format"); n != 1 {
		t.Errorf("the log has it %d times that worker 3 talks nonsense", n)
	}
}

func TestPrometheusStoresTheSeriesOfEachWorker(t *testing.T) {
	t.Parallel()
	harness.Need(t, "prometheus")
	b, address, dir := services(t, 3, "well")
	p := startPrometheus(t, address)
	p.becomes(`count(app_requests_total)`, 3)
	for range 6 {
		ask(t, filepath.Join(dir, "2.sock"))
	}
	p.becomes(`app_requests_total{worker="2"}`, 7)
	p.becomes(`sum without (worker) (app_requests_total)`, 9)
	if err := harness.Kill(b.Slot(2), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.becomes(`brood_worker_restarts_total{worker="2"}`, 1)
	p.becomes(`app_requests_total{worker="2"}`, 1) // another process has counted from 0
	p.becomes(`resets(app_requests_total{worker="2"}[5m])`, 1)
	p.wantsAlwaysUp("10m")
	p.wants(`app_shard{worker="3", exported_worker="blue"}`, 1)
	p.wants(`sum(brood_scrape_up)`, 3)
	b.Stop(t, 0)
}

// ask has a service count a request.
func ask(t *testing.T, socket string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	answer, err := client.Get("http://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
}

// Nobody is asked for the last page: no worker is left.
func TestTheLastPageIsBroodsOwn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "last.prom")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address := harness.Address(t)
	b := harness.Mode{}.Start(t, "-n2", "--metrics-addr", address, "--final-metrics", file, "--ready", "unix://"+dir+"/{slot}.sock",
		"--worker-metrics", "unix://"+dir+"/{slot}.sock:/metrics", "--", self, asService, dir, "well")
	harness.Until(t, "both are on the page", func() bool {
		text, err := page("http://" + address + "/metrics")
		return err == nil && strings.Count(text, "\napp_shard{") == 2
	})
	b.Stop(t, 0)
	last := harness.Content(file)
	if !strings.Contains(last, "\nbrood_scrape_failures_total{") || strings.Contains(last, "\napp_") || strings.Contains(last, "\nbrood_scrape_up") {
		t.Errorf("the last page is:\n%s", last)
	}
}

// What 8 workers have in 5,000 series each passes through brood and is forgotten.
func TestBigPagesLeaveBroodSmall(t *testing.T) {
	t.Parallel()
	b, address, _ := services(t, 8, "series:5000")
	rounds := 60
	if harness.Full() {
		rounds = 200
	}
	for i := range rounds {
		text, _ := pageAs(t, address, "text/plain")
		if i == 0 && strings.Count(text, "\napp_things{") != 8*5000 {
			t.Fatalf("there are %d series", strings.Count(text, "\napp_things{"))
		}
	}
	p, ok := harness.Look(b.PID)
	if !ok {
		t.Fatal("brood is gone")
	}
	resident, _ := strconv.Atoi(strings.TrimSuffix(p.Status("VmRSS"), " kB"))
	t.Logf("after %d scrapes of 40,000 series brood has %d MiB", rounds, resident>>10)
	if resident == 0 || resident > 64<<10 {
		t.Errorf("brood has %d kB", resident)
	}
	b.Stop(t, 0)
}
