package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// patience is how long one docker command may take.
const patience = time.Minute

// scratch is what all tests share.
var scratch struct {
	dir string // with the programs, and the engine if it is ours
}

// dockerCLI is the docker command. A distribution's own is preferred to one
// that was put before it: it knows BuildKit without a plugin.
func dockerCLI() string {
	if exists("/usr/bin/docker") {
		return "/usr/bin/docker"
	}
	return "docker"
}

// image is the one that containers are made of, or why there is none.
var image = sync.OnceValues(func() (string, error) {
	if err := engine(); err != nil {
		return "", err
	}
	return importImage("plain")
})

// need returns the image, or skips the test with the reason.
func need(t testing.TB) string {
	t.Helper()
	name, err := image()
	if err != nil {
		harness.Missing(t, "%v", err)
	}
	return name
}

// engine finds an engine or starts one.
var engine = sync.OnceValue(func() error {
	if _, err := exec.LookPath(dockerCLI()); err != nil {
		return errors.New("the docker command is not installed")
	}
	var why bytes.Buffer
	start := exec.Command("../../scripts/docker-engine.sh", "start", filepath.Join(scratch.dir, "engine"))
	start.Stderr = &why
	out, err := start.Output()
	if err != nil {
		return fmt.Errorf("there is no Docker engine: %s", strings.TrimSpace(why.String()))
	}
	if host, ours := strings.CutPrefix(strings.TrimSpace(string(out)), "DOCKER_HOST="); ours {
		return os.Setenv("DOCKER_HOST", host)
	}
	return nil
})

// programs builds what goes into the images, as static as it has to be there.
var programs = sync.OnceValues(func() (map[string]string, error) {
	built := map[string]string{"brood": os.Getenv("BROOD_TEST_BINARY")}
	for name, pkg := range map[string]string{"brood": "./cmd/brood", "guest": "./test/docker/guest"} {
		if built[name] != "" {
			continue
		}
		built[name] = filepath.Join(scratch.dir, name)
		build := exec.Command("go", "build", "-trimpath", "-o", built[name], pkg)
		build.Dir = "../.."
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build: %s", out)
		}
	}
	return built, nil
})

// importImage makes an image out of the programs alone, in no time: no builder
// is needed for it.
func importImage(tag string, changes ...string) (string, error) {
	built, err := programs()
	if err != nil {
		return "", err
	}
	name := thisRun + ":" + tag
	args := []string{"import"}
	for _, change := range append(changes, `ENTRYPOINT ["/brood"]`, "LABEL brood.test="+thisRun) {
		args = append(args, "--change", change)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	load := exec.CommandContext(ctx, dockerCLI(), append(args, "-", name)...)
	in, out := io.Pipe()
	load.Stdin = in
	go func() { _ = out.CloseWithError(archive(out, built)) }()
	if said, err := load.CombinedOutput(); err != nil {
		return "", fmt.Errorf("docker import: %w: %s", err, said)
	}
	return name, nil
}

func archive(w io.Writer, built map[string]string) error {
	files := tar.NewWriter(w)
	add := func(name string, mode int64, content []byte) error {
		if err := files.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err := files.Write(content)
		return err
	}
	for name, path := range built {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := add(name, 0o755, content); err != nil {
			return err
		}
	}
	if err := add("not-executable", 0o644, []byte("text\n")); err != nil {
		return err
	}
	return files.Close()
}

// docker runs one command and returns what it wrote to stdout.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := tryDocker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryDocker(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, dockerCLI(), args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}
