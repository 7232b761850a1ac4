package prometheus_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// lengthVariable says for how long deeds are done to a service that is scraped.
const lengthVariable = "BROOD_TEST_PROMETHEUS"

func length() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(lengthVariable)); err == nil {
		return d
	}
	if harness.Full() {
		return 10 * time.Minute
	}
	return 20 * time.Second
}

// broodCounters is every counter of brood's, those of histograms included.
const broodCounters = `__name__=~"brood_.+_total|brood_.+_(bucket|count|sum)"`

// Crashes, reloads, scaling, orphans and a lack of memory, for as long as one
// likes: in the end Prometheus has stored what was done, and nothing else.
//
// It does not run beside others: in a race of six tests for two CPUs a scrape
// would take longer than it may.
func TestPrometheusAgreesWithTheBooksHoweverLongItTakes(t *testing.T) {
	harness.Need(t, "prometheus")
	tool := harness.Need(t, "promtool")
	const workers, every = 5, 2 * time.Second
	b, address, sockets := servicesIn(t, harness.Options{
		Stage: harness.Stage{Group: harness.MemoryGroup(t, 512<<20)},
		Env:   []string{lengthVariable + "=" + length().String()}, // the workers live as long
	}, []string{"--restart", "always", "--stop-timeout", "5s"}, workers, "obedient")
	p := startPrometheusEvery(t, every, address)
	p.becomes("up", 1)
	p.becomes(`sum(brood_worker_up)`, workers)
	f := newForeman(t, b, p, address, sockets, workers)
	began := time.Now()
	pause := time.NewTicker(300 * time.Millisecond)
	defer pause.Stop()
	f.work(began.Add(length()), func() { <-pause.C })
	took := time.Since(began)
	p.scraped(2)

	at, ok := p.value("timestamp(up) and up == 1")
	if !ok {
		t.Fatal("brood is not scraped any more")
	}
	window := fmt.Sprintf("[%ds]", int((took + time.Minute).Seconds()))
	p.wantsAlwaysUp(strings.Trim(window, "[]"))
	compared := wantTheTruth(t, p, f, at, window)
	all, samples := wantCountersOnlyToRise(t, p, at, window)
	wantOnlyLivingWorkers(t, p, f, at)
	wantTheAlerts(t, p, f)
	wantTheDashboardToAgree(t, p, f, at)
	wantPromtoolToAgree(t, tool, p, f)
	t.Logf("in %s: %v", took.Round(time.Second), f.done)
	t.Logf("%d counters equal the books, %d series with %d samples never fell", compared, all, samples)
	b.Stop(t, 0)
	p.becomes(`count({__name__=~"brood_.*|app_.*"}) or vector(0)`, 0)
}

// key is a series as the books have it.
func key(labels map[string]string) string {
	var pairs []string
	for name, value := range labels {
		if name != "__name__" && name != "job" && name != "instance" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
		}
	}
	slices.Sort(pairs)
	return labels["__name__"] + "{" + strings.Join(pairs, ",") + "}"
}

// wantTheTruth compares every series of the families that deeds are counted in,
// so that what was not done must be 0. Prometheus' increase is exact for a
// counter that it has seen at 0, as of the time of a scrape: there is nothing
// to extrapolate.
func wantTheTruth(t *testing.T, p *server, f *foreman, at float64, window string) (compared int) {
	t.Helper()
	families := `{__name__=~"brood_worker_(starts|restarts|start_failures|exits|forced_kills)_total|brood_reaped_(processes|exit_codes|exit_signals)_total|` +
		`brood_(replacements|reloads|scalings|signals_received|signals_forwarded|hook_runs|hooks_dropped|pidfile_problems|panics|probe_failures)_total"}`
	oom := `{__name__="brood_cgroup_memory_events_total", event="oom_kill"}`
	missing := map[string]bool{}
	for series := range f.truth {
		missing[series] = true
	}
	for _, s := range append(p.askAt(at, families+window), p.askAt(at, oom+window)...) {
		k := key(s.Metric)
		want := f.truth[k]
		delete(missing, k)
		compared++
		if got := s.Values[len(s.Values)-1].value; got != want {
			t.Errorf("%s is %v, and was done %v times", k, got, want)
		}
		if s.Values[0].value != 0 {
			continue
		}
		for _, increase := range p.askAt(at, "increase("+k+window+")") {
			if increase.Value.value != want {
				t.Errorf("the increase of %s is %v, and it was done %v times", k, increase.Value.value, want)
			}
		}
	}
	for series := range missing {
		t.Errorf("Prometheus does not have %s, which is %v", series, f.truth[series])
	}
	return compared
}

// wantCountersOnlyToRise looks at every sample of every counter of brood's. One
// that is away for a scrape has been forgotten, too.
func wantCountersOnlyToRise(t *testing.T, p *server, at float64, window string) (all, samples int) {
	t.Helper()
	scrapes := p.askAt(at, "up"+window)[0].Values
	for _, named := range p.askAt(at, "count by (__name__) ({"+broodCounters+"})") {
		raw := p.askAt(at, named.Metric["__name__"]+window)
		for _, fall := range decreases(raw) {
			t.Errorf("a counter went down: %s", fall)
		}
		for _, s := range raw {
			all, samples = all+1, samples+len(s.Values)
			since := slices.IndexFunc(scrapes, func(scrape sample) bool { return scrape.at >= s.Values[0].at })
			if want := len(scrapes) - since; since < 0 || len(s.Values) != want {
				t.Errorf("%s has %d samples, and there were %d scrapes since its first", key(s.Metric), len(s.Values), want)
			}
		}
	}
	return all, samples
}

// wantOnlyLivingWorkers looks for gauges and pages of processes that are gone.
func wantOnlyLivingWorkers(t *testing.T, p *server, f *foreman, at float64) {
	t.Helper()
	for _, expression := range []string{
		"brood_worker_pid", "brood_worker_resident_memory_bytes", "brood_worker_start_time_seconds", "brood_worker_open_fds",
		"brood_worker_up == 1", "brood_scrape_up == 1", "app_requests_total", "app_size_bytes_count", `app_shard{exported_worker="blue"}`,
	} {
		var found []string
		for _, s := range p.askAt(at, expression) {
			found = append(found, s.Metric["worker"])
		}
		slices.Sort(found)
		var want []string
		for slot := 1; slot <= f.wanted; slot++ {
			want = append(want, strconv.Itoa(slot))
			if pid := p.stored(fmt.Sprintf(`brood_worker_pid{worker="%d"}`, slot)); int(pid) != f.b.Slot(slot) {
				t.Errorf("slot %d has process %v, as stored, and is %d", slot, pid, f.b.Slot(slot))
			}
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s is there for workers %q, want %q", expression, found, want)
		}
	}
}

// wantTheAlerts compares those that fire with those that have a reason to.
func wantTheAlerts(t *testing.T, p *server, f *foreman) {
	t.Helper()
	want := []string{"BroodOOMKill", "BroodWorkerKilledAtStop"}
	for series, n := range f.truth {
		if slot, ok := strings.CutPrefix(series, `brood_worker_restarts_total{worker="`); ok && n >= 3 {
			want = append(want, "BroodWorkerRestarting "+strings.TrimSuffix(slot, `"}`))
		}
	}
	slices.Sort(want)
	var found []string
	if !within(func() bool {
		found = nil
		for _, s := range p.ask(`ALERTS{alertstate="firing"}`) {
			found = append(found, strings.TrimSpace(s.Metric["alertname"]+" "+s.Metric["worker"]))
		}
		slices.Sort(found)
		return slices.Equal(found, want)
	}) {
		t.Errorf("alerts fire: %q, want %q", found, want)
	}
	t.Logf("alerts that fire: %q", found)
}

// wantTheDashboardToAgree has its panels evaluated as of a scrape. Over a day
// they extrapolate nothing.
func wantTheDashboardToAgree(t *testing.T, p *server, f *foreman, at float64) {
	t.Helper()
	sum := func(prefix string) (n float64) {
		for series, value := range f.truth {
			if strings.HasPrefix(series, prefix) {
				n += value
			}
		}
		return n
	}
	chosen := strings.NewReplacer("$job", "brood", "$instance", ".*", "$worker", ".*", "$__rate_interval", "30s")
	expressions := theDashboard(t).expressions()
	for where, want := range map[string]float64{
		"Ready workers A":                     float64(f.wanted),
		"Wanted workers A":                    float64(f.wanted),
		"Restarts in 24 h A":                  sum("brood_worker_restarts_total"),
		"Killed for lack of memory in 24 h A": sum("brood_cgroup_memory_events_total"),
		"Killed at a stop in 24 h A":          sum("brood_worker_forced_kills_total"),
		"Replacements, reloads, scalings D":   0,
		"Hooks B":                             0,
		"Mistakes and failed reads A":         0,
	} {
		answer := p.askAt(at, chosen.Replace(expressions[where]))
		if len(answer) != 1 || answer[0].Value.value != want {
			t.Errorf("the dashboard shows %v as %s, want %v", answer, where, want)
		}
	}
}

// wantPromtoolToAgree asks in the way that people do at a shell.
func wantPromtoolToAgree(t *testing.T, tool string, p *server, f *foreman) {
	t.Helper()
	out, err := exec.Command(tool, "query", "instant", "http://"+p.address, "sum by (reason) (brood_worker_exits_total)").CombinedOutput()
	if err != nil {
		t.Fatalf("promtool: %v: %s", err, out)
	}
	want := map[string]float64{}
	for series, n := range f.truth {
		if reason, ok := strings.CutPrefix(series, `brood_worker_exits_total{reason="`); ok {
			reason, _, _ = strings.Cut(reason, `"`)
			want[reason] += n
		}
	}
	for reason, n := range want {
		if !strings.Contains(string(out), fmt.Sprintf("{reason=%q} => %v @", reason, n)) {
			t.Errorf("promtool does not say that %v workers have ended as %s:\n%s", n, reason, out)
		}
	}
	t.Logf("ends by reason: %v", want)
	text, err := page("http://" + f.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	input(t, text, tool, "check", "metrics")
}
