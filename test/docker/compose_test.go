package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// compose is the command of either generation.
func compose(t testing.TB) []string {
	t.Helper()
	if exec.Command(dockerCLI(), "compose", "version").Run() == nil {
		return []string{dockerCLI(), "compose"}
	}
	if path, err := exec.LookPath("docker-compose"); err == nil {
		return []string{path}
	}
	harness.Missing(t, "neither docker compose nor docker-compose is installed")
	return nil
}

// freePort is one that nobody listens on, as of now.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// get returns a page, or "".
func get(address string) string {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get(address)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

func TestTheComposeFileRunsTheExampleAndAPrometheusThatWatchesIt(t *testing.T) {
	t.Parallel()
	need(t)
	command := compose(t)
	image := built(t, example)
	web, prometheus := freePort(t), freePort(t)
	up := func(words ...string) {
		t.Helper()
		// Not the test's own context: that is over when the clean-up calls it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*patience)
		defer cancel()
		args := append(command[1:len(command):len(command)], "--project-name", thisRun, "--file", "../../docker-compose.yml")
		cmd := exec.CommandContext(ctx, command[0], append(args, words...)...)
		cmd.Env = append(os.Environ(), "EXAMPLE_IMAGE="+image, "EXAMPLE_PORT="+web, "PROMETHEUS_PORT="+prometheus)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("compose %s: %v: %s", strings.Join(words, " "), err, out)
		}
	}
	t.Cleanup(func() { up("down", "--volumes", "--timeout", "10") })
	up("--profile", "grafana", "config", "--quiet") // its image is not for this test to pull
	up("up", "--detach", "--no-build")

	seen := map[string]bool{}
	until(t, "all four workers have answered", func() bool {
		slot, _, _ := strings.Cut(get("http://127.0.0.1:"+web+"/"), " ")
		if slot != "" {
			seen[slot] = true
		}
		return len(seen) == 4
	})
	ask := func(query string) string {
		return firstValue(get("http://127.0.0.1:" + prometheus + "/api/v1/query?query=" + url.QueryEscape(query)))
	}
	until(t, "Prometheus has scraped brood", func() bool { return ask(`up{job="brood"}`) == "1" })
	until(t, "Prometheus has seen four workers", func() bool { return ask("sum(brood_worker_up)") == "4" })
	get("http://127.0.0.1:" + web + "/exit?code=3")
	until(t, "Prometheus has seen one fail", func() bool {
		return ask(`sum(brood_worker_exits_total{reason="failed"})`) == "1" && ask("sum(brood_worker_up)") == "4"
	})
	if rules := get("http://127.0.0.1:" + prometheus + "/api/v1/rules"); strings.Count(rules, `"type":"alerting"`) < 10 || strings.Contains(rules, `"health":"err"`) {
		t.Errorf("Prometheus has these rules:\n%s", rules)
	}
	began := time.Now()
	up("stop", "--timeout", "10")
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("compose stop took %s", took)
	}
	states := docker(t, "ps", "--all", "--filter", "label=com.docker.compose.project="+thisRun,
		"--filter", "label=com.docker.compose.service=example", "--format", "{{.Status}}")
	if !strings.HasPrefix(states, "Exited (0)") {
		t.Errorf("the example is: %s", states)
	}
}

// firstValue is that of the first series in an answer of Prometheus.
func firstValue(text string) string {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if json.Unmarshal([]byte(text), &answer) != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}
