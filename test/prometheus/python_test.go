package prometheus_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// python is Debian's, with Debian's client.
func python(t *testing.T) string {
	t.Helper()
	const program = "/usr/bin/python3"
	if err := exec.Command(program, "-c", "import prometheus_client").Run(); err != nil {
		harness.Missing(t, "%s has no prometheus_client (package python3-prometheus-client)", program)
	}
	return program
}

func TestGunicornsWithThePythonClientAreOnOnePage(t *testing.T) {
	t.Parallel()
	python(t)
	gunicorn := harness.Need(t, "gunicorn")
	app, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address, first := harness.Address(t), harness.Ports(t, 2)
	b := harness.Mode{}.StartWith(t, harness.Options{
		Dir: dir,
		Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: []string{
			"-n2", "--metrics-addr", address, "--restart-backoff", "50ms..100ms", "--expand-args",
			"--env", fmt.Sprintf("METRICS_PORT={%d+index}", first), "--ready", "unix://" + dir + "/{slot}.sock",
			"--worker-metrics", fmt.Sprintf("http://127.0.0.1:{%d+index}/metrics", first), "--",
			gunicorn, "--chdir", app, "--worker-tmp-dir", dir, "-w", "1", "-b", "unix:" + dir + "/{slot}.sock", "counting:app",
		},
	})
	harness.Until(t, "both are on the page", func() bool {
		text, err := page("http://" + address + "/metrics")
		return err == nil && strings.Count(text, "\npython_info{") == 2 || b.HasEnded()
	})
	for range 3 {
		ask(t, filepath.Join(dir, "2.sock"))
	}
	got := figures(t, address)
	for series, want := range map[string]float64{
		"app_requests_total{worker=1,path=/}": 0, "app_requests_total{worker=2,path=/}": 3,
		"brood_scrape_up{worker=1}": 1, "brood_scrape_up{worker=2}": 1,
	} {
		if got[series] != want {
			t.Errorf("%s is %v, not %v", series, got[series], want)
		}
	}
	text, _ := pageAs(t, address, "text/plain")
	input(t, text, harness.Need(t, "promtool"), "check", "metrics")
	open, _ := pageAs(t, address, "application/openmetrics-text;version=1.0.0")
	wantLines(t, open, `app_requests_total{worker="2",path="/"} 3.0 # {trace_id="abc"} 1.0 `)
	input(t, open, python(t), "-c", "import sys, prometheus_client.openmetrics.parser as p; list(p.text_string_to_metric_families(sys.stdin.read()))")

	before := b.Slot(1)
	if err := harness.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.SlotAfter(1, before)
	harness.Until(t, "the new one is on the page", func() bool { return figures(t, address)["brood_scrape_up{worker=1}"] == 1 })
	if got := figures(t, address)["app_requests_total{worker=2,path=/}"]; got != 3 {
		t.Errorf("the other one has %v", got)
	}
	b.Stop(t, 0)
}

// The client's own files, in the mode in which processes share a directory.
func TestTheJanitorCleansUpAfterThePythonClient(t *testing.T) {
	t.Parallel()
	program := python(t)
	script, err := filepath.Abs("testdata/sharing.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"counter_99999.db", "gauge_livesum_99999.db", "metric_a___99999.bin", "notes.db"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("rubbish that the client would choke on"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := harness.Mode{}.StartWith(t, harness.Options{
		Env:  []string{"PROMETHEUS_MULTIPROC_DIR=" + dir},
		Args: []string{"-n3", "--restart", "never", "--multiproc-dir-cleanup", "--", program, script},
	})
	if line := b.WaitLog("files of metrics from before are removed"); !strings.Contains(line, "files=3") {
		t.Errorf("the log says %s", line)
	}
	merged := func() map[string]string {
		out, err := exec.Command("/usr/bin/env", "PROMETHEUS_MULTIPROC_DIR="+dir, program, "-c", `
import prometheus_client.multiprocess as m, prometheus_client as p
r = p.CollectorRegistry()
m.MultiProcessCollector(r)
print(p.generate_latest(r).decode())`).CombinedOutput()
		if err != nil {
			return map[string]string{"error": string(out)} // it has read what is being written
		}
		figures := map[string]string{}
		for line := range strings.Lines(string(out)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
				figures[name] = value
			}
		}
		return figures
	}
	wantFigures := func(what string, want map[string]string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(dir, "notes.db")); err != nil {
			t.Error(err) // nobody's business but its owner's
		}
		// The client takes it for one of its own.
		if err := os.Rename(filepath.Join(dir, "notes.db"), filepath.Join(dir, "notes")); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Rename(filepath.Join(dir, "notes"), filepath.Join(dir, "notes.db")) }()
		var got map[string]string
		if !harness.Within(20*time.Second, func() bool { got = merged(); return maps.Equal(got, want) }) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	wantFigures("three workers", map[string]string{"jobs_total": "3.0", "busy": "3.0"})
	if err := harness.Kill(b.Slot(2), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantFigures("one has died", map[string]string{"jobs_total": "3.0", "busy": "2.0"})
	b.Signal(syscall.SIGTERM)
	b.Wait()
}

func TestCleaningNothingIsAMistake(t *testing.T) {
	t.Parallel()
	b := harness.Mode{}.Start(t, "--multiproc-dir-cleanup", "--", "worker", "wait")
	b.WantCode(t, 2)
	if said := b.Stderr.String(); !strings.Contains(said, "PROMETHEUS_MULTIPROC_DIR") || !strings.Contains(said, "--multiproc-dir-cleanup") {
		t.Errorf("brood says %q", said)
	}
}
