package docker_test

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kballard/go-shellquote"

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
		StopSignal   string
		Entrypoint   []string
		ExposedPorts map[string]struct{}
		Healthcheck  struct{ Test []string }
	}
	if err := json.Unmarshal([]byte(docker(t, "inspect", "--format", "{{json .Config}}", image)), &config); err != nil {
		t.Fatal(err)
	}
	for _, label := range []string{"description", "url", "source", "documentation"} {
		if config.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("the image has no label %s", label)
		}
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
	if config.StopSignal != "SIGTERM" { // or docker kill -s HUP would end the restarts
		t.Errorf("the stop signal is %q", config.StopSignal)
	}
	// Kubernetes can tell by a number only that it is not root.
	if user, _, _ := strings.Cut(config.User, ":"); number(t, user) == 0 {
		t.Errorf("the user is %q", config.User)
	}
	if size := number(t, docker(t, "inspect", "--format", "{{.Size}}", image)); size > 16<<20 {
		t.Errorf("the image has %d bytes", size)
	}
	c := runImage(t, image, "--entrypoint /brood", "version -o json")
	c.ends(0)
	for _, want := range []string{`"version": "9.8.7"`, `"commit": "0123abc"`} {
		c.wants(1, want)
	}
}

// The second build is another one in each respect but for the source, the
// settings and the version of Go.
func TestTheShippedBroodIsTheSameWhoeverBuildsIt(t *testing.T) {
	t.Parallel()
	image := built(t, shipped)
	theirs, ours := programIn(t, image), filepath.Join(t.TempDir(), "brood")
	info, err := buildinfo.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	const about = "github.com/brood-init/brood/entrypoint"
	again := exec.Command("go", "build", "-trimpath", "-tags", "nethttpomithttp2",
		"-ldflags", "-s -w -X "+about+".version=9.8.7 -X "+about+".commit=0123abc", "-o", ours, "./cmd/brood")
	again.Dir = "../.."
	again.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOTOOLCHAIN="+info.GoVersion)
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if a, b := digest(t, theirs), digest(t, ours); a != b {
		t.Errorf("the image's program is %s, and one built here %s", a, b)
	}
}

// programIn takes brood out of an image.
func programIn(t testing.TB, image string) string {
	t.Helper()
	c := create(t)
	docker(t, "create", "--name", c.name, "--label", "brood.test="+thisRun, image)
	program := filepath.Join(t.TempDir(), "brood")
	docker(t, "cp", c.name+":/brood", program)
	return program
}

func digest(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

func TestDockerfilesAskForNothingThatOlderBuildersDoNotKnow(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*/Dockerfile")
	if err != nil || len(files) == 0 {
		t.Errorf("the examples have these Dockerfiles: %q, %v", files, err)
	}
	unknown := regexp.MustCompile(`(?im)^\s*#\s*syntax\s*=.*|<<.*|^\s*(COPY|ADD)\b.*--link.*`)
	for _, file := range append(files, "../../Dockerfile") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := unknown.Find(text); found != nil {
			t.Errorf("%s has %q", file, found)
		}
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

func TestTheRecipesOfThePageForUsersWork(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/docker.md")
	if err != nil {
		t.Fatal(err)
	}
	from := built(t, shipped)
	programs, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Link(programs["guest"], filepath.Join(dir, "my-service")); err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?s)```dockerfile\n(.*?)```").FindSubmatch(page)[1]
	recipe := strings.NewReplacer("FROM debian:12-slim", "FROM scratch\nENV PATH=/usr/local/bin",
		"--from=brood ", "--from="+from+" ", "--its-own-flags", "serve", "--interval=5s", "--interval=1s").Replace(string(text))
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	image := thisRun + ":recipe"
	docker(t, "build", "--label", "brood.test="+thisRun, "--tag", image, dir)

	web := runImage(t, image, "--env BROOD_PROCESSES=2", "")
	web.becomes("healthy")
	for _, words := range recipes(t, page, "docker run ") {
		at := slices.Index(words, "my-image")
		// The page names files as seen from the top of the repository.
		flags := strings.ReplaceAll(shellquote.Join(words[2:at]...), "seccomp=deploy/", "seccomp=../../deploy/")
		c := runImage(t, image, flags, shellquote.Join(words[at+1:]...))
		if slices.Contains(words, "check") {
			c.ends(0)
			continue
		}
		if slices.Contains(words, "BROOD_PROCESSES=4") {
			c.await(4, "ready")
		}
		c.becomes("healthy")
		c.stops(0)
	}
	for _, words := range recipes(t, page, "docker exec web ") {
		if slices.Contains(words, "events") { // it goes on until brood ends
			continue
		}
		if said := web.exec(words[3:]...); said == "" {
			t.Errorf("%s says nothing", words)
		}
	}
	until(t, "all six are ready", func() bool {
		said, err := tryDocker("exec", web.name, "brood", "status", "-o", "json")
		return err == nil && strings.Count(said, `"slot":`) == 6
	})
	web.stops(0)
}

// recipes are the commands of a page that begin so and need nobody who types.
func recipes(t testing.TB, page []byte, prefix string) (all [][]string) {
	t.Helper()
	for _, line := range regexp.MustCompile("(?m)^"+prefix+".*$").FindAll(page, -1) {
		command, _, _ := strings.Cut(string(line), "  #")
		all = append(all, split(t, command))
	}
	if len(all) < 2 {
		t.Fatalf("the page has %d commands %q", len(all), prefix)
	}
	return all
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

func TestTheTagForTLSIsAnArgumentOfTheBuild(t *testing.T) {
	t.Parallel()
	if !harness.Full() {
		t.Skip("it takes a minute: set BROOD_TEST_FULL")
	}
	needBases(t)
	image, err := build("webconfig", true, "--build-arg", "TAGS=webconfig")
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(programIn(t, image))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-tags" && strings.Contains(s.Value, "webconfig")
	}) {
		t.Errorf("the program was built with %v", info.Settings)
	}
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
		header, err := os.ReadFile(programIn(t, image))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(header[18:20]); got != machine { // e_machine of the ELF header
			t.Errorf("the program for %s is one for machine %x", platform, got)
		}
	}
}
