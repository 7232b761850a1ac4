package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// pod is the template of the Deployment and its only container.
func pod(t testing.TB) (core.PodTemplateSpec, core.Container) {
	t.Helper()
	template := kind[*apps.Deployment](t, built(t, "base"), "Deployment").Spec.Template
	if len(template.Spec.Containers) != 1 {
		t.Fatalf("%d containers, want 1", len(template.Spec.Containers))
	}
	return template, template.Spec.Containers[0]
}

func TestAllObjectsMeanTheSamePods(t *testing.T) {
	objects := built(t, "all")
	deployment := kind[*apps.Deployment](t, objects, "Deployment")
	pods := labels.Set(deployment.Spec.Template.Labels)
	selector := func(s *meta.LabelSelector) labels.Selector {
		made, err := meta.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	monitor := kind[*monitoring.PodMonitor](t, objects, "PodMonitor")
	for name, s := range map[string]labels.Selector{
		"Deployment":          selector(deployment.Spec.Selector),
		"Service":             labels.SelectorFromSet(kind[*core.Service](t, objects, "Service").Spec.Selector),
		"PodDisruptionBudget": selector(kind[*policy.PodDisruptionBudget](t, objects, "PodDisruptionBudget").Spec.Selector),
		"PodMonitor":          selector(&monitor.Spec.Selector),
	} {
		if s.Empty() || !s.Matches(pods) {
			t.Errorf("the selector of the %s is %q, and the pods have %v", name, s, pods)
		}
	}
	target := kind[*autoscaling.HorizontalPodAutoscaler](t, objects, "HorizontalPodAutoscaler").Spec.ScaleTargetRef
	if target.Kind != "Deployment" || target.Name != deployment.Name {
		t.Errorf("the autoscaler scales %s %s", target.Kind, target.Name)
	}
	if deployment.Spec.Replicas != nil {
		t.Error("the Deployment has a number of replicas beside that of the autoscaler: each apply would undo it")
	}
}

func TestPortsAndPathsAreThoseOfBroodAndTheService(t *testing.T) {
	_, container := pod(t)
	ports := map[string]int32{}
	for _, p := range container.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["http"] != 8080 || ports["metrics"] != 9180 {
		t.Errorf("the container's ports are %v", ports)
	}
	for path, probe := range map[string]*core.Probe{
		"/readyz": container.ReadinessProbe, "/livez": container.LivenessProbe,
	} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != "metrics" {
			t.Errorf("the probe is %v, want one of %s", probe, path)
		}
	}
	objects := built(t, "all")
	if port := kind[*core.Service](t, objects, "Service").Spec.Ports[0].TargetPort.String(); ports[port] == 0 {
		t.Errorf("the Service sends to the port %q, and the container has %v", port, ports)
	}
	endpoint := kind[*monitoring.PodMonitor](t, objects, "PodMonitor").Spec.PodMetricsEndpoints[0]
	if endpoint.Port == nil || *endpoint.Port != "metrics" || endpoint.Path != "/metrics" {
		t.Errorf("what is scraped is %v %s", endpoint.Port, endpoint.Path)
	}
}

// What the "restricted" level of the Pod Security Standards asks for, and a
// root file system that nobody writes to.
func TestThePodIsRestricted(t *testing.T) {
	template, container := pod(t)
	p, c := template.Spec.SecurityContext, container.SecurityContext
	is := func(b *bool) bool { return b != nil && *b }
	for what, holds := range map[string]bool{
		"runAsNonRoot":             is(p.RunAsNonRoot),
		"a user that is not root":  p.RunAsUser != nil && *p.RunAsUser != 0,
		"seccompProfile":           p.SeccompProfile != nil && p.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
		"allowPrivilegeEscalation": c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation,
		"drop ALL":                 c.Capabilities != nil && slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) && len(c.Capabilities.Add) == 0,
		"readOnlyRootFilesystem":   is(c.ReadOnlyRootFilesystem),
		"no token":                 template.Spec.AutomountServiceAccountToken != nil && !*template.Spec.AutomountServiceAccountToken,
		"no service links":         template.Spec.EnableServiceLinks != nil && !*template.Spec.EnableServiceLinks,
	} {
		if !holds {
			t.Errorf("the pod is without %s", what)
		}
	}
}

func TestPIDFilesAreWhereTheContainerMayWrite(t *testing.T) {
	template, container := pod(t)
	setting := environment(container)["BROOD_PIDFILE"]
	for _, mount := range container.VolumeMounts {
		below, err := filepath.Rel(mount.MountPath, filepath.Dir(setting))
		if err != nil || strings.HasPrefix(below, "..") {
			continue
		}
		if below == "." {
			t.Errorf("%s is in the volume itself, which everybody may write to: brood refuses it", setting)
		}
		for _, volume := range template.Spec.Volumes {
			if volume.Name == mount.Name && volume.EmptyDir != nil {
				return
			}
		}
	}
	t.Errorf("%q is in no emptyDir of the container", setting)
}

func environment(c core.Container) map[string]string {
	e := map[string]string{}
	for _, v := range c.Env {
		e[v.Name] = v.Value
	}
	return e
}

var inAll = regexp.MustCompile(`(?m)^stop +(\S+) in all \(auto: kubernetes\)$`)

// brood itself says whether it takes the settings, and how long its stop is.
func TestBroodTakesTheSettingsAndItsBudgetFitsIntoThePeriod(t *testing.T) {
	program := filepath.Join(t.TempDir(), "brood")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/brood")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	template, container := pod(t)
	check := exec.CommandContext(t.Context(), program, "check", "--", "true")
	check.Env = []string{"PATH=" + os.Getenv("PATH"), "KUBERNETES_SERVICE_HOST=10.0.0.1"}
	for name, value := range environment(container) {
		check.Env = append(check.Env, name+"="+value)
	}
	out, err := check.CombinedOutput()
	if err != nil || strings.Contains(string(out), "warning") {
		t.Fatalf("brood does not take the settings: %v\n%s", err, out)
	}
	said := inAll.FindSubmatch(out)
	if said == nil {
		t.Fatalf("brood does not say its budget:\n%s", out)
	}
	budget, err := time.ParseDuration(string(said[1]))
	if err != nil {
		t.Fatal(err)
	}
	period := time.Duration(*template.Spec.TerminationGracePeriodSeconds) * time.Second
	if left := period - budget; left < time.Second {
		t.Errorf("of the period of %v, brood's %v leave %v: the kubelet's SIGKILL may come first", period, budget, left)
	}
	if container.Lifecycle != nil {
		t.Error("there is a preStop hook beside the drain delay: both wait for the same, one after the other")
	}
}

// A misspelt metric is no error anywhere, only an autoscaler that never scales.
func TestTheAutoscalerAsksForWhatTheAdapterMakesOfWhatBroodExports(t *testing.T) {
	rule := adapter(t).Rules[0]
	metric := kind[*autoscaling.HorizontalPodAutoscaler](t, built(t, "all"), "HorizontalPodAutoscaler").Spec.Metrics[0].Pods.Metric.Name
	if metric != rule.Name.As {
		t.Errorf("the autoscaler asks for %q, and the adapter makes %q", metric, rule.Name.As)
	}
	page, err := os.ReadFile(root + "/docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	used := regexp.MustCompile(`\bbrood_\w+`).FindAllString(rule.SeriesQuery+" "+rule.MetricsQuery, -1)
	if len(used) < 3 {
		t.Errorf("the rule uses %q only", used)
	}
	for _, name := range used {
		if !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("brood exports no %s", name)
		}
	}
}
