package manifests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	root   = "../.."
	deploy = root + "/deploy/kubernetes"
)

// types are those of the API objects that the manifests may have.
func types(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, batch.AddToScheme, policy.AddToScheme, autoscaling.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// decode makes an object of a document, as strictly as the API server with
// fieldValidation=Strict: a field that its type does not have, or has in another
// case, and one that is there twice, are errors.
func decode(scheme *runtime.Scheme, document []byte) (runtime.Object, error) {
	var header struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(document, &header); err != nil {
		return nil, err
	}
	object, err := scheme.New(schema.FromAPIVersionAndKind(header.APIVersion, header.Kind))
	if err != nil {
		return nil, err
	}
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	strict, err := json.UnmarshalStrict(text, object)
	return object, errors.Join(append(strict, err)...)
}

// documents splits a file or a page's block of YAML.
func documents(text string) (found []string) {
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		if strings.TrimSpace(document) != "" {
			found = append(found, document)
		}
	}
	return found
}

// built are the objects that kubectl apply -k would send, by kind: there is at
// most one of each.
func built(t testing.TB, dir string) map[string]runtime.Object {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(deploy, dir))
	if err != nil {
		t.Fatal(err)
	}
	scheme := types(t)
	objects := map[string]runtime.Object{}
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, err := decode(scheme, text)
		if err != nil {
			t.Errorf("%s in %s: %v", resource.GetKind(), dir, err)
			continue
		}
		objects[resource.GetKind()] = object
	}
	return objects
}

// kind is the object of that kind, which has to be there.
func kind[T runtime.Object](t testing.TB, objects map[string]runtime.Object, name string) T {
	t.Helper()
	object, ok := objects[name].(T)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return object
}

func TestEveryManifestIsWhatTheAPITakes(t *testing.T) {
	for dir, want := range map[string][]string{
		"base": {"Deployment", "Service", "PodDisruptionBudget"},
		"all":  {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "PodMonitor", "PrometheusRule"},
	} {
		objects := built(t, dir)
		for _, name := range want {
			if objects[name] == nil {
				t.Errorf("%s has no %s", dir, name)
			}
		}
		if len(objects) != len(want) {
			t.Errorf("%s has %d objects, want %q", dir, len(objects), want)
		}
	}
}

// kustomize reads leniently: what is there twice, it would not tell.
func TestEveryFileIsWhatItsTypeTakes(t *testing.T) {
	files, err := filepath.Glob(deploy + "/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 8 {
		t.Errorf("there are the files %q only", files)
	}
	scheme := types(t)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch filepath.Base(path) {
		case "kustomization.yaml":
			err = yaml.UnmarshalStrict(text, &kustomize.Kustomization{})
		case "adapter.yaml":
			err = yaml.UnmarshalStrict(text, &adapterConfig{})
		default:
			_, err = decode(scheme, text)
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAMistakeInAManifestIsFound(t *testing.T) {
	text, err := os.ReadFile(deploy + "/base/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	scheme := types(t)
	for _, c := range []struct{ name, old, wrong, want string }{
		{"a field that there is not", "enableServiceLinks:", "enableServiceLink:", "unknown field"},
		{"a field in another case", "readinessProbe:", "readinessprobe:", "unknown field"},
		{"a field in the wrong place", "      terminationGracePeriodSeconds: 30\n", "      containers: [{terminationGracePeriodSeconds: 30}]\n", "already set"},
		{"a text for a number", "periodSeconds: 10", "periodSeconds: 10s", "cannot unmarshal string"},
		{"a version that there is not", "apiVersion: apps/v1", "apiVersion: apps/v1beta9", "no kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wrong := strings.Replace(string(text), c.old, c.wrong, 1)
			if wrong == string(text) {
				t.Fatalf("the manifest has no %q", c.old)
			}
			if _, err := decode(scheme, []byte(wrong)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestTheManifestsOfThePageAreWhatTheAPITakes(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	scheme, found := types(t), 0
	for i, part := range strings.Split(string(text), "\n```") {
		block, isYAML := strings.CutPrefix(part, "yaml\n")
		if i%2 == 0 || !isYAML {
			continue
		}
		for _, document := range documents(block) {
			found++
			if strings.Contains(document, "kind: Kustomization") {
				builds(t, document)
			} else if _, err := decode(scheme, []byte(document)); err != nil {
				t.Errorf("docs/kubernetes.md: %v in\n%s", err, document)
			}
		}
	}
	if found == 0 {
		t.Error("docs/kubernetes.md has no manifest")
	}
}

// builds runs a kustomization of the page, which sees the repository as "brood"
// beside its own directory.
func builds(t testing.TB, document string) {
	t.Helper()
	dir := t.TempDir()
	here, err := filepath.Abs(root)
	if err == nil {
		err = os.Mkdir(dir+"/web", 0o755)
	}
	if err == nil {
		err = os.Symlink(here, dir+"/brood")
	}
	if err == nil {
		err = os.WriteFile(dir+"/web/kustomization.yaml", []byte(document), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir+"/web")
	if err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	if err := yaml.UnmarshalStrict([]byte(document), &kustomize.Kustomization{}); err != nil {
		t.Error(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"namespace: web\n", "image: registry.example.com/brood-example:1\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the kustomization has no effect: there is no %q in\n%s", want, text)
		}
	}
}

// adapterConfig is what autoscaling/adapter.yaml uses of the configuration of
// the Prometheus adapter (its package pkg/config).
type adapterConfig struct {
	Rules []struct {
		SeriesQuery string `json:"seriesQuery"`
		Resources   struct {
			Overrides map[string]struct {
				Resource string `json:"resource"`
			} `json:"overrides"`
		} `json:"resources"`
		Name struct {
			As string `json:"as"`
		} `json:"name"`
		MetricsQuery string `json:"metricsQuery"`
	} `json:"rules"`
}

func adapter(t testing.TB) (c adapterConfig) {
	t.Helper()
	text, err := os.ReadFile(deploy + "/autoscaling/adapter.yaml")
	if err == nil {
		err = yaml.UnmarshalStrict(text, &c)
	}
	if err == nil && len(c.Rules) != 1 {
		err = fmt.Errorf("%d rules, want 1", len(c.Rules))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
