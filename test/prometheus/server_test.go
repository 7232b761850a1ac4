package prometheus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// server is a Prometheus that scrapes one brood every second, or two, and
// evaluates the rules as often.
type server struct {
	t        testing.TB
	address  string
	interval time.Duration
	run      *harness.Brood
}

const configuration = `
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
rule_files: [%[2]s]
scrape_configs:
  - job_name: brood
    static_configs: [{targets: ["%[3]s"]}]
`

func startPrometheus(t testing.TB, target string) *server {
	t.Helper()
	return startPrometheusEvery(t, time.Second, target)
}

func startPrometheusEvery(t testing.TB, interval time.Duration, target string) *server {
	t.Helper()
	program := harness.Need(t, "prometheus")
	rules, err := filepath.Abs("../../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, configuration, interval, rules, target), 0o644); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, address: harness.Address(t), interval: interval}
	s.run = harness.Mode{}.StartWith(t, harness.Options{
		Program: program,
		Args: []string{
			"--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"),
			"--web.listen-address", s.address, "--log.level", "warn",
		},
	})
	t.Cleanup(func() {
		s.run.Signal(syscall.SIGTERM)
		s.run.Wait()
	})
	harness.Until(t, "Prometheus is ready", func() bool {
		_, err := page("http://" + s.address + "/-/ready")
		return err == nil || s.run.HasEnded()
	})
	return s
}

// page is what an address answers with, if that is 200.
func page(address string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", answer.Status, text)
	}
	return string(text), nil
}

// sample is a value at a time.
type sample struct {
	at    float64
	value float64
}

func (s *sample) UnmarshalJSON(text []byte) error {
	var pair [2]any
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	var err error
	s.at, _ = pair[0].(float64)
	s.value, err = strconv.ParseFloat(fmt.Sprint(pair[1]), 64)
	return err
}

// series is one in an answer: a vector has Value, a range has Values.
type series struct {
	Metric map[string]string
	Value  sample
	Values []sample
}

func (s series) String() string { return fmt.Sprint(s.Metric) }

// ask evaluates an expression now.
func (s *server) ask(expression string) []series {
	s.t.Helper()
	return s.query(expression, "")
}

// askAt evaluates an expression as of a time.
func (s *server) askAt(at float64, expression string) []series {
	s.t.Helper()
	return s.query(expression, "&time="+strconv.FormatFloat(at, 'f', 3, 64))
}

func (s *server) query(expression, more string) []series {
	s.t.Helper()
	text, err := page("http://" + s.address + "/api/v1/query?query=" + url.QueryEscape(expression) + more)
	if err != nil {
		s.t.Fatalf("%s: %v", expression, err)
	}
	var answer struct{ Data struct{ Result []series } }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer.Data.Result
}

// value is that of the only series that an expression has.
func (s *server) value(expression string) (float64, bool) {
	s.t.Helper()
	all := s.ask(expression)
	if len(all) != 1 {
		return 0, false
	}
	return all[0].Value.value, true
}

// stored is the value of the only series. After a scrape that has failed there is
// none until the next one.
func (s *server) stored(expression string) (value float64) {
	s.t.Helper()
	until(s.t, expression+" has one series", func() (ok bool) {
		value, ok = s.value(expression)
		return ok
	})
	return value
}

// wants checks the value of the only series.
func (s *server) wants(expression string, want float64) {
	s.t.Helper()
	if got := s.stored(expression); got != want {
		s.t.Errorf("%s is %v, want %v", expression, got, want)
	}
}

// wantsAlwaysUp checks that no scrape has failed but those that were cut short, by
// Prometheus or by brood, which keeps half a second for the way: on a busy machine
// the interval may be too short.
func (s *server) wantsAlwaysUp(window string) {
	s.t.Helper()
	cut := 0.45 * s.interval.Seconds()
	if n := s.stored(fmt.Sprintf("sum(count_over_time((up == 0 and scrape_duration_seconds < %g)[%s:500ms])) or vector(0)", cut, window)); n != 0 {
		s.t.Errorf("scrapes have failed: up %v, after %v", s.ask("up[" + window + "]")[0].Values, s.ask("scrape_duration_seconds[" + window + "]")[0].Values)
	}
}

// becomes waits until the only series has a value.
func (s *server) becomes(expression string, want float64) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("%s is %v", expression, want), func() bool {
		got, ok := s.value(expression)
		return ok && got == want
	})
}

// scraped waits until brood has been scraped that often, with success, from now on.
func (s *server) scraped(times int) {
	s.t.Helper()
	last := -1.0
	until(s.t, "brood is scraped", func() bool {
		if at, ok := s.value("timestamp(up) and up == 1"); ok && at > last {
			if last >= 0 {
				times--
			}
			last = at
		}
		return times <= 0
	})
}

// until polls, but not as fast as the harness does: each look is a query.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	if !within(is) {
		t.Fatalf("it never came about that %s", what)
	}
}

func within(is func() bool) bool {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(harness.Fatal)
	defer late.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-late.C:
			return false
		}
	}
	return true
}

// decreases are the counters that went down, with the two values.
func decreases(all []series) (found []string) {
	for _, s := range all {
		for i := 1; i < len(s.Values); i++ {
			if before, after := s.Values[i-1], s.Values[i]; after.value < before.value {
				found = append(found, fmt.Sprintf("%s: %v, then %v", s, before.value, after.value))
			}
		}
	}
	return found
}

func name(slot int) string { return strings.TrimSpace(strconv.Itoa(slot)) }
