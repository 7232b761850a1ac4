package kubernetes_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	rounds = 10
	rate   = 40 // requests a second, each over a connection of its own
)

// deployed applies deploy/kubernetes/base to a namespace that takes restricted
// pods only, with other variables if there are any, and returns the address of
// the Service.
func deployed(t *testing.T, namespace string, variables ...string) (address string) {
	t.Helper()
	newNamespace(t, namespace, "pod-security.kubernetes.io/enforce=restricted")
	kubectl(t, "apply", "--namespace", namespace, "--kustomize", manifests(t, "base"))
	if len(variables) > 0 {
		kubectl(t, append([]string{"set", "env", "deployment/web", "--namespace", namespace}, variables...)...)
	}
	rolledOut(t, namespace)
	return kubectl(t, "get", "service", "web", "--namespace", namespace, "--output", "jsonpath={.spec.clusterIP}")
}

func rolledOut(t *testing.T, namespace string) {
	t.Helper()
	kubectl(t, "rollout", "status", "deployment/web", "--namespace", namespace, "--timeout=110s")
}

// serving are the pods of the Service that are not about to end, by name.
func serving(t *testing.T, namespace string) (names []string) {
	t.Helper()
	var pods struct{ Items []status }
	get(t, &pods, "pods", "--namespace", namespace, "--selector", "app.kubernetes.io/name=web")
	slices.SortFunc(pods.Items, func(a, b status) int { return cmp.Compare(a.Metadata.Name, b.Metadata.Name) })
	for _, p := range pods.Items {
		if p.Metadata.DeletionTimestamp == nil && p.condition("Ready") == "True" {
			names = append(names, p.Metadata.Name)
		}
	}
	return names
}

func TestTheManifestsMakeAServiceThatAnswers(t *testing.T) {
	need(t)
	deployed(t, "shipped")
	names := serving(t, "shipped")
	if len(names) != 2 {
		t.Fatalf("%q serve, want two pods", names)
	}
	var s struct {
		Slots []struct{ State string }
	}
	p := &pod{t, "shipped", names[0]}
	said, err := tryKubectl("", "exec", p.name, "--namespace", p.namespace, "--", "/brood", "status", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(said), &s); err != nil || len(s.Slots) == 0 || s.Slots[0].State != "ready" {
		t.Errorf("brood status: %v\n%s", err, said)
	}
	log := kubectl(t, "logs", p.name, "--namespace", p.namespace)
	if !strings.Contains(log, "pidfile=/run/brood/web.pid") || strings.Contains(log, "level=WARN") {
		t.Errorf("brood complains, or is elsewhere:\n%s", log)
	}
	if page, err := p.page("/metrics"); err != nil || !strings.Contains(page, "\nbrood_worker_up{") {
		t.Errorf("no metrics: %v", err)
	}
	kubectl(t, "apply", "--dry-run=server", "--namespace", "shipped", "--filename", manifests(t, "autoscaling/horizontalpodautoscaler.yaml"))
	record(t, 10, "`kubectl apply -k deploy/kubernetes/base` in a namespace that enforces `restricted`", "rolled out; %d workers in each pod; read-only root; `brood status` answers", len(s.Slots))
}

// A load from inside the cluster goes by the address of the Service, which
// kube-proxy leads to the pods that are ready as far as it knows.
func TestNoRequestIsLostInRollingUpdatesAndEvictions(t *testing.T) {
	need(t)
	for _, c := range []struct {
		namespace, name string
		variables       []string
		lossless        bool
	}{
		{"drained", "drain delay 5 s", nil, true},
		{"undrained", "no drain delay", []string{"BROOD_DRAIN_DELAY=0s"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := deployed(t, c.namespace, c.variables...)
			updates := underLoad(t, c.namespace+"-updates", address, func() {
				for range rounds {
					kubectl(t, "rollout", "restart", "deployment/web", "--namespace", c.namespace)
					rolledOut(t, c.namespace)
				}
			})
			evictions := underLoad(t, c.namespace+"-evictions", address, func() {
				for range rounds {
					evict(t, c.namespace)
				}
			})
			if c.lossless && updates.failed+evictions.failed > 0 {
				t.Errorf("requests were lost:\n%s", strings.Join(slices.Concat(updates.how, evictions.how), "\n"))
			}
			if !c.lossless && updates.failed == 0 {
				t.Error("nothing was lost without the drain delay either: the test shows nothing")
			}
			record(t, 20, fmt.Sprintf("%d rolling updates under load, %s", rounds, c.name), "%d of %d requests lost", updates.failed, updates.asked)
			record(t, 21, fmt.Sprintf("%d evictions (API, with the budget) under load, %s", rounds, c.name), "%d of %d requests lost", evictions.failed, evictions.asked)
		})
	}
}

// evict ends the first pod as the drain of a node does, as soon as the
// disruption budget allows it, and waits for its successor.
func evict(t *testing.T, namespace string) {
	t.Helper()
	var name string
	until(t, "two pods serve", func() bool {
		names := serving(t, namespace)
		if len(names) == 2 {
			name = names[0]
		}
		return name != ""
	})
	body := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, name, namespace)
	until(t, "the disruption budget allows an eviction", func() bool {
		_, err := tryKubectl(body, "create", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", namespace, name), "--filename", "-")
		return err == nil
	})
	until(t, "there is a successor", func() bool {
		names := serving(t, namespace)
		return len(names) == 2 && !slices.Contains(names, name)
	})
}

// lost is what a load has found.
type lost struct {
	asked, failed int
	how           []string
}

var summary = regexp.MustCompile(`^asked=(\d+) failed=(\d+)$`)

// underLoad asks the address all the time while do runs.
func underLoad(t *testing.T, name, address string, do func()) (l lost) {
	t.Helper()
	p := start(t, "default", spec{
		name: "load-" + name, noProbe: true, pod: "restartPolicy: Never",
		c: fmt.Sprintf("command: [/load, 'http://%s/', '%d']", address, rate),
	})
	log := p.follow("c")
	do()
	kubectl(t, "delete", "pod", p.name, "--wait=false")
	log.await(1, "asked=")
	for _, line := range log.with("") {
		if m := summary.FindStringSubmatch(line.text); m != nil {
			l.asked, _ = strconv.Atoi(m[1])
			l.failed, _ = strconv.Atoi(m[2])
		} else if len(l.how) < 10 {
			l.how = append(l.how, line.text)
		}
	}
	if l.asked < rounds*rate {
		t.Errorf("%s has asked %d times only", p.name, l.asked)
	}
	return l
}
