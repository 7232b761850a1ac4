package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// A build compiles the standard library anew.
const buildPatience = 10 * time.Minute

// build runs docker build on the repository as it is. The network is the
// machine's, so that the module proxy is reached as from here.
func build(tag string, buildKit bool, flags ...string) (string, error) {
	name := thisRun + ":" + tag
	args := append([]string{"build", "--network", "host", "--label", "brood.test=" + thisRun, "--tag", name}, flags...)
	ctx, cancel := context.WithTimeout(context.Background(), buildPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, dockerCLI(), append(args, "../..")...)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=1")
	if !buildKit {
		cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("docker build %s: %w: %s", strings.Join(flags, " "), err, out)
	}
	return name, nil
}

// bases sees to the images that the Dockerfile and the compose file name.
var bases = sync.OnceValue(func() error {
	if err := engine(); err != nil {
		return err
	}
	if out, err := exec.Command("../../scripts/docker-standins.sh").CombinedOutput(); err != nil {
		return errors.New(strings.TrimSpace(string(out)))
	}
	return nil
})

func needBases(t testing.TB) {
	t.Helper()
	if err := bases(); err != nil {
		harness.Missing(t, "%v", err)
	}
}

// shipped is the image of the Dockerfile.
var shipped = sync.OnceValues(func() (string, error) {
	return build("shipped", true, "--build-arg", "VERSION=9.8.7", "--build-arg", "REVISION=0123abc")
})

// example is the image of its second target. Most of it is the first one's.
var example = sync.OnceValues(func() (string, error) {
	if _, err := shipped(); err != nil {
		return "", err
	}
	return build("example", true, "--build-arg", "VERSION=9.8.7", "--build-arg", "REVISION=0123abc", "--target", "example")
})

func built(t testing.TB, image func() (string, error)) string {
	t.Helper()
	needBases(t)
	name, err := image()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheShippedImageHoldsBroodAndNothingElse(t *testing.T) {
	t.Parallel()
	image := built(t, shipped)
	c := create(t)
	docker(t, "create", "--name", c.name, "--label", "brood.test="+thisRun, image)
	files := filepath.Join(t.TempDir(), "files.tar")
	docker(t, "export", "--output", files, c.name)
	list, err := exec.Command("tar", "-tf", files).Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		switch top, _, _ := strings.Cut(name, "/"); top {
		case "brood", "dev", "proc", "sys", "etc", ".dockerenv": // the engine makes all but the first
		default:
			t.Errorf("the image holds %s", name)
		}
	}
}

func TestTheShippedImageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	image := built(t, shipped)
	var config struct {
		Labels       map[string]string
		User         string
		Entrypoint   []string
		ExposedPorts map[string]struct{}
		Healthcheck  struct{ Test []string }
	}
	if err := json.Unmarshal([]byte(docker(t, "inspect", "--format", "{{json .Config}}", image)), &config); err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]string{"title": "brood", "licenses": "Apache-2.0", "version": "9.8.7", "revision": "0123abc"} {
		if got := config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("the label %s is %q, want %q", label, got, want)
		}
	}
	if got := strings.Join(config.Healthcheck.Test, " "); got != "CMD /brood health" {
		t.Errorf("the health check is %q", got)
	}
	if got := strings.Join(config.Entrypoint, " "); got != "/brood --" {
		t.Errorf("the entrypoint is %q", got)
	}
	if config.User == "" || config.User == "0" || config.User == "root" {
		t.Errorf("the user is %q", config.User)
	}
	c := runImage(t, image, "--entrypoint /brood", "version -o json")
	c.ends(0)
	for _, want := range []string{`"version": "9.8.7"`, `"commit": "0123abc"`} {
		c.wants(1, want)
	}
}

// As the page for users says: a service's own Dockerfile takes brood out of it.
func TestAServicesImageTakesBroodFromTheShippedOne(t *testing.T) {
	t.Parallel()
	from := built(t, shipped)
	programs, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Link(programs["guest"], filepath.Join(dir, "guest")); err != nil {
		t.Fatal(err)
	}
	text := "FROM scratch\nCOPY --from=" + from + " /brood /brood\nCOPY guest /guest\nUSER 1234\n" +
		healthcheck + "\nENTRYPOINT [\"/brood\", \"--\"]\nCMD [\"/guest\", \"serve\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	image := thisRun + ":service"
	docker(t, "build", "--label", "brood.test="+thisRun, "--tag", image, dir)
	c := runImage(t, image, "--env BROOD_PROCESSES=2", "")
	c.await(2, "ready")
	c.becomes("healthy")
	c.stops(0)
	c.wants(2, "got TERM")
}

func TestTheExampleImageServesAndIsHealthy(t *testing.T) {
	t.Parallel()
	image := built(t, example)
	c := runImage(t, image, "--read-only --cap-drop ALL --security-opt no-new-privileges --env BROOD_PROCESSES=3", "")
	c.await(3, `msg="worker started"`)
	c.becomes("healthy")
	c.stops(0)
	c.wants(3, "worker exited", "reason=stopped")
}

// Builders without BuildKit do not know the platform variables.
func TestOlderBuildersBuildTheDockerfile(t *testing.T) {
	t.Parallel()
	if !harness.Full() {
		t.Skip("it takes two minutes: set BROOD_TEST_FULL")
	}
	needBases(t)
	image, err := build("older", false, "--force-rm")
	if err != nil {
		t.Fatal(err)
	}
	c := runImage(t, image, "--entrypoint /brood", "version")
	c.ends(0)
}

func TestTheDockerfileBuildsForAnotherPlatform(t *testing.T) {
	t.Parallel()
	if !harness.Full() {
		t.Skip("it takes a minute: set BROOD_TEST_FULL")
	}
	needBases(t)
	for platform, machine := range map[string]string{"amd64": "\x3e\x00", "arm64": "\xb7\x00"} {
		image, err := build(platform, true, "--platform", "linux/"+platform)
		if err != nil {
			t.Fatal(err)
		}
		if got := docker(t, "inspect", "--format", "{{.Architecture}}", image); got != platform {
			t.Errorf("the image is for %s, want %s", got, platform)
		}
		c := create(t)
		docker(t, "create", "--name", c.name, "--label", "brood.test="+thisRun, image)
		program := filepath.Join(t.TempDir(), "brood")
		docker(t, "cp", c.name+":/brood", program)
		header, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(header[18:20]); got != machine { // e_machine of the ELF header
			t.Errorf("the program for %s is one for machine %x", platform, got)
		}
	}
}
