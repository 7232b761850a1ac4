package prometheus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/brood-init/brood/metrics"
	"github.com/brood-init/brood/test/internal/harness"
)

const deploy = "../../deploy/prometheus"

// promtool runs it where the rules are.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(harness.Need(t, "promtool"), args...)
	cmd.Dir = deploy
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestTheShippedRulesAreValidAndPassTheirTests(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "config", "prometheus.yml")
	promtool(t, "check", "rules", "--lint-fatal", "rules.yml")
	promtool(t, "test", "rules", "rules_test.yml")
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func matches(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestEveryAlertHasATestInWhichItFires(t *testing.T) {
	t.Parallel()
	rules := matches(`(?m)^\s*- alert: (\w+)$`, content(t, "rules.yml"))
	tested := matches(`(?m)^\s*- alertname: (\w+)$`, content(t, "rules_test.yml"))
	if len(rules) < 10 || !slices.Equal(rules, tested) {
		t.Errorf("the alerts are\n%q, and those tested\n%q", rules, tested)
	}
}

// A misspelt name is no error for Prometheus, only an alert that never fires.
func TestTheRulesNameWhatBroodExports(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"rules.yml", "rules_test.yml"} {
		wantKnownNames(t, file, content(t, file))
	}
}

// wantKnownNames checks the metrics of brood's that a text names, with their
// labels, and the values of those that are enumerations.
func wantKnownNames(t *testing.T, where, text string) {
	t.Helper()
	known := map[string]map[string][]string{}
	for _, d := range metrics.Descriptors() {
		known[d.Name] = map[string][]string{"instance": nil, "job": nil}
		for _, l := range d.Labels {
			known[d.Name][l.Name] = l.Values
		}
	}
	for _, use := range regexp.MustCompile(`(worker:)?\b(brood_\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(text, -1) {
		metric := strings.TrimSuffix(use[2], "_bucket")
		labels, ok := known[metric]
		if !ok {
			if use[1] == "" && metric != "brood_worker_cpu_seconds" {
				t.Errorf("%s: brood exports no %s", where, metric)
			}
			continue
		}
		for _, m := range regexp.MustCompile(`(\w+)(=|!=|=~|!~)"([^"]*)"`).FindAllStringSubmatch(use[3], -1) {
			values, ok := labels[m[1]]
			if !ok {
				t.Errorf("%s: %s has no label %s", where, metric, m[1])
			}
			for value := range strings.SplitSeq(m[3], "|") {
				if len(values) > 0 && !slices.Contains(values, value) {
					t.Errorf("%s: %s of %s is never %q", where, m[1], metric, value)
				}
			}
		}
	}
}

func TestThePageIsAsPrometheusWantsIt(t *testing.T) {
	t.Parallel()
	tool := harness.Need(t, "promtool")
	address := harness.Address(t)
	b := harness.Mode{}.Start(t, "-n2", "--metrics-addr", address, "--prepare", "true", "--", "worker", "wait")
	var text string
	harness.Until(t, "there is a page with two workers", func() bool {
		var err error
		text, err = page("http://" + address + "/metrics")
		return err == nil && strings.Count(text, "\nbrood_worker_up{") == 2
	})
	check := exec.Command(tool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	b.Stop(t, 0)
}

// What nobody scrapes any more is left for a textfile collector.
func TestTheLastPageIsLeftAsAFile(t *testing.T) {
	t.Parallel()
	tool := harness.Need(t, "promtool")
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"it gave up": {
			[]string{"-n2", "--restart-backoff", "1ms..1ms", "--max-restarts", "2/1m", "--", "worker", "exit", "7"},
			7,
			`brood_worker_exits_total{reason="failed",worker="1"}`,
		},
		"nothing was started": {[]string{"--prepare", "false", "--", "worker", "exit", "0"}, 1, `brood_hook_runs_total{hook="prepare",result="failure"} 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "brood.prom")
			b := harness.Mode{}.Start(t, append([]string{"--metrics-addr", "none", "--final-metrics", file}, test.args...)...)
			b.WantCode(t, test.code)
			info, err := os.Stat(file)
			if err != nil || info.Mode() != 0o644 {
				t.Fatalf("%v, %v", info, err)
			}
			text := harness.Content(file)
			check := exec.Command(tool, "check", "metrics")
			check.Stdin = strings.NewReader(text)
			if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("promtool check metrics: %v\n%s", err, out)
			}
			if !strings.Contains(text, test.want) || !strings.Contains(text, `brood_state{state="done"} 1`) {
				t.Errorf("no %s in\n%s", test.want, text)
			}
		})
	}
}
