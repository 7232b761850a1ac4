package kubernetes_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// image is what all containers of these tests are made of; the name and the tag
// are those of deploy/kubernetes/base. Like the example of the Dockerfile it is
// brood and a service in an empty root, with other services beside that.
const image = "brood-example:1"

func broodImage(dir string) (string, error) {
	return makeImage(dir, image, map[string]any{
		"Entrypoint": []string{"/brood", "--"}, "Cmd": []string{"/web"}, "User": "65532:65532",
		"Env": []string{"PORT=8080"},
	}, map[string]string{
		"brood": "./cmd/brood", "web": "./examples/web", "guest": "./test/docker/guest", "load": "./test/kubernetes/load",
	})
}

func pauseImage(dir string) (string, error) {
	return makeImage(dir, "brood-test-pause:1", map[string]any{
		"Entrypoint": []string{"/pause"}, "User": "65535:65535",
	}, map[string]string{"pause": "./test/kubernetes/pause"})
}

// makeImage writes an archive as docker save does, with the programs in one
// layer, and returns its path.
func makeImage(dir, name string, config map[string]any, programs map[string]string) (string, error) {
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	for program, source := range programs {
		path := filepath.Join(dir, program)
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, source)
		build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %s", out)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if err := add(files, program, 0o755, content); err != nil {
			return "", err
		}
	}
	if err := files.Close(); err != nil {
		return "", err
	}
	description, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer.Bytes())}},
	})
	if err != nil {
		return "", err
	}
	index, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{"docker.io/library/" + name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return "", err
	}
	var archive bytes.Buffer
	parts := tar.NewWriter(&archive)
	for part, content := range map[string][]byte{"layer.tar": layer.Bytes(), "config.json": description, "manifest.json": index} {
		if err := add(parts, part, 0o644, content); err != nil {
			return "", err
		}
	}
	if err := parts.Close(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%x.tar", sha256.Sum256([]byte(name))))
	return path, os.WriteFile(path, archive.Bytes(), 0o600)
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func add(files *tar.Writer, name string, mode int64, content []byte) error {
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := files.Write(content)
	return err
}
