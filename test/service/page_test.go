package service_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// firstProgram is the first whole program of the page for users.
func firstProgram(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/service.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```go\npackage main\n")
	source, _, ends := strings.Cut(rest, "```\n")
	if !found || !ends {
		t.Fatal("docs/service.md has no program")
	}
	return "package main\n" + source
}

// What the page says of its program is so.
func TestTheProgramOfThePageWorks(t *testing.T) {
	dir := t.TempDir()
	source, hello := filepath.Join(dir, "main.go"), filepath.Join(dir, "hello")
	if err := os.WriteFile(source, []byte(firstProgram(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := harness.Build(hello, source); err != nil {
		t.Fatal(err)
	}
	address := harness.Address(t)
	s := startFile(t, harness.Mode{}, hello, nil, "-n2", "--metrics-addr=none", "--listen=web=tcp://"+address)
	healthy := func() bool { return exec.Command(hello, "health", "--pidfile", s.PIDFile).Run() == nil }
	harness.Until(t, "it is healthy", healthy)
	s.Stdout.Await(t, "preparing 2 workers")
	answer, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || !regexp.MustCompile(`^hello from worker [12] of 2\n$`).Match(text) {
		t.Errorf("the answer is %q, %v", text, err)
	}
	for _, verb := range []string{"status", "reload", "stop"} {
		if out, err := exec.Command(hello, verb, "--pidfile", s.PIDFile).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", verb, err, out)
		}
	}
	s.WantCode(t, 0)
	s.Stdout.Await(t, "finished")
	http.DefaultClient.CloseIdleConnections()
}
