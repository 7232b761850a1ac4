package prometheus_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// What the dashboard asks of Prometheus, as far as these tests look.
type (
	dashboard struct {
		Panels      []dashboardPanel
		Templating  struct{ List []dashboardVariable }
		Annotations struct{ List []dashboardTarget }
	}
	dashboardPanel struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []dashboardTarget
	}
	dashboardTarget struct {
		RefID      string
		Name, Expr string
		Datasource struct{ UID string }
	}
	dashboardVariable struct {
		Name, Type string
		Definition string
	}
)

func theDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/brood.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions are all that the dashboard has evaluated, by where they are.
func (d dashboard) expressions() map[string]string {
	all := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, note := range d.Annotations.List {
		all["annotation "+note.Name] = note.Expr
	}
	for _, v := range d.Templating.List {
		if m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
			all["variable "+v.Name] = "count by (" + m[2] + ") (" + m[1] + ")"
		}
	}
	return all
}

func TestTheDashboardAsksForWhatBroodExports(t *testing.T) {
	t.Parallel()
	d := theDashboard(t)
	for where, expression := range d.expressions() {
		wantKnownNames(t, where, expression)
		if !strings.HasPrefix(where, "variable ") && strings.Count(expression, "{") != strings.Count(expression, `job=~"$job", instance=~"$instance"`) {
			t.Errorf("%s does not go by the chosen job and instance everywhere: %s", where, expression)
		}
		for _, of := range regexp.MustCompile(`brood_worker_\w+\{[^}]*\}`).FindAllString(expression, -1) {
			summed := strings.HasPrefix(of, "brood_worker_count_info") || strings.HasPrefix(of, "brood_worker_stop_duration") // they have no such label
			if !summed && where != "Ready workers A" && where != "variable worker" && !strings.Contains(of, `worker=~"$worker"`) {
				t.Errorf("%s does not go by the chosen worker: %s", where, of)
			}
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	if want := []string{"datasource", "job", "instance", "worker"}; !slices.Equal(names, want) {
		t.Errorf("the variables are %q, want %q", names, want)
	}
	ids := map[int]string{}
	for i, p := range d.Panels {
		if other, taken := ids[p.ID]; taken {
			t.Errorf("%q and %q have the same ID", p.Title, other)
		}
		ids[p.ID] = p.Title
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%q asks %q and not the chosen source", p.Title, target.Datasource.UID)
			}
		}
		g := p.GridPos
		for _, q := range d.Panels[:i] {
			if o := q.GridPos; g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H {
				t.Errorf("%q lies over %q", p.Title, q.Title)
			}
		}
		if g.X+g.W > 24 {
			t.Errorf("%q is wider than the page", p.Title)
		}
	}
}

// notEverywhere are the metrics that depend on the machine: some are absent where
// there is no limit, no cgroup v2, or where brood is not the first process.
var notEverywhere = regexp.MustCompile(`^brood_(cgroup_.*|processes|zombies)$`)

func TestTheDashboardShowsWhatHasHappened(t *testing.T) {
	t.Parallel()
	harness.Need(t, "prometheus")
	b, address, _ := servicesWith(t, []string{
		"--prepare", `sh -c 'sleep 300 >/dev/null 2>&1 & echo $! >"${BROOD_PIDFILE%.*}.0.${BROOD_PIDFILE##*.}"'`,
	}, 3, "well")
	p := startPrometheus(t, address)
	p.becomes(`count(app_requests_total)`, 3)
	status := exec.Command(harness.Binary(), "status", "--pidfile", b.PIDFile) // it makes brood look at the files
	if out, err := status.CombinedOutput(); err != nil {
		t.Errorf("brood status: %v: %s", err, out)
	}
	p.becomes(`brood_registered_processes`, 1)
	p.scraped(2)
	if err := harness.Kill(b.Slot(2), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.Signal(syscall.SIGWINCH) // forwarded, and ignored by workers
	p.becomes(`brood_worker_restarts_total{worker="2"}`, 1)
	p.becomes(`sum(brood_signals_forwarded_total{signal="SIGWINCH"})`, 3)
	p.becomes(`sum(brood_worker_up)`, 3)
	p.scraped(3)

	chosen := strings.NewReplacer("$job", "brood", "$instance", ".*", "$worker", ".*", "$__rate_interval", "30s")
	name := regexp.MustCompile(`\bbrood_\w+`)
	there := map[string]bool{}
	for _, s := range p.ask(`count by (__name__) ({__name__=~"brood_.*"})`) {
		there[s.Metric["__name__"]] = true
	}
	empty := 0
	for where, expression := range theDashboard(t).expressions() {
		answer := p.ask(chosen.Replace(expression))
		if len(answer) > 0 {
			continue
		}
		absent := slices.ContainsFunc(name.FindAllString(expression, -1), func(metric string) bool {
			return !there[metric] && notEverywhere.MatchString(metric)
		})
		switch {
		case where == "annotation Lack of memory": // nobody has run out of it here
		case absent:
			empty++
		case !within(func() bool { return len(p.ask(chosen.Replace(expression))) > 0 }): // a scrape may have failed just now
			t.Errorf("%s shows nothing: %s", where, expression)
		}
	}
	t.Logf("%d of %d expressions ask for what this machine does not have", empty, len(theDashboard(t).expressions()))
	// Not only something, but the truth.
	for where, want := range map[string]float64{
		"Ready workers A": 3, "Wanted workers A": 3, "Hooks B": 0, "Replacements, reloads, scalings D": 0,
	} {
		p.wants(chosen.Replace(theDashboard(t).expressions()[where]), want)
	}
	if got, _ := p.value(chosen.Replace(theDashboard(t).expressions()["Restarts in 24 h A"])); got < 0.9 || got > 3 { // increase extrapolates
		t.Errorf("the dashboard shows %v restarts, want about 1", got)
	}
	killed := p.ask(chosen.Replace(theDashboard(t).expressions()["annotation Restarts"]))
	if len(killed) != 1 || killed[0].Metric["worker"] != "2" {
		t.Errorf("the dashboard marks restarts of %v, want one of worker 2", killed)
	}
	b.Stop(t, 0)
	_ = os.Remove(b.SlotFile("0")) // whoever registers removes it, and sleep does not
}

// The files name each other by paths inside of the containers.
func TestTheProvisionedGrafanaFindsItsDashboardAndItsPrometheus(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	compose := read("docker-compose.yml")
	for _, m := range regexp.MustCompile(`(?m)^      - \./(\S+?):(\S+):ro$`).FindAllStringSubmatch(compose, -1) {
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Errorf("docker-compose.yml mounts %s: %v", m[1], err)
		}
	}
	path := matches(`path: (\S+)`, read("deploy/grafana/provisioning/dashboards/brood.yml"))
	if len(path) != 1 || !strings.Contains(compose, "./deploy/grafana/brood.json:"+path[0]+"/brood.json:ro") {
		t.Errorf("Grafana looks for dashboards in %q, and docker-compose.yml mounts brood.json elsewhere", path)
	}
	if !strings.Contains(compose, "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro") {
		t.Error("docker-compose.yml does not mount what Grafana is to provision")
	}
	source := read("deploy/grafana/provisioning/datasources/prometheus.yml")
	if !strings.Contains(source, "url: http://prometheus:9090\n") || !strings.Contains(compose, "\n  prometheus:\n") {
		t.Error("the source of data is not the Prometheus of docker-compose.yml")
	}
	// Its $__rate_interval is four of these.
	interval := matches(`timeInterval: (\S+)`, source)
	if !slices.Equal(interval, matches(`scrape_interval: (\S+)`, content(t, "prometheus.yml"))) {
		t.Errorf("the source of data has %q for the interval of scrapes", interval)
	}
}
