// Package services_test runs services as people run them, from Debian's
// packages, under brood.
package services_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// get asks until the service answers.
func get(t *testing.T, url string) (body string) {
	t.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	harness.Until(t, url+" answers", func() bool {
		response, err := client.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		body = string(text)
		return err == nil && response.StatusCode == http.StatusOK
	})
	return body
}

// stopWays are the signals that a container or a user stops a service with.
var stopWays = []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}

// Two gunicorns, each a master with a worker of its own, on a port each.
func TestGunicorn(t *testing.T) {
	gunicorn := harness.Need(t, "gunicorn")
	app, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, stop := range stopWays {
		t.Run(stop.String(), func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				first := harness.Ports(t, 2)
				b := m.StartWith(t, harness.Options{
					Args: []string{
						"-n2", "--restart-backoff=1ms..10ms", "--expand-args", "--",
						gunicorn, "--chdir", app, "--workers", "1", "--no-sendfile", "--worker-tmp-dir", t.TempDir(),
						"--bind", fmt.Sprintf("127.0.0.1:{%d+index}", first), "app:app",
					},
					Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
				})
				one := fmt.Sprintf("http://127.0.0.1:%d/", first)
				two := fmt.Sprintf("http://127.0.0.1:%d/", first+1)
				if got := get(t, one); !strings.HasSuffix(got, " 1\n") {
					t.Errorf("slot 1 answers %q", got)
				}
				if got := get(t, two); !strings.HasSuffix(got, " 2\n") {
					t.Errorf("slot 2 answers %q", got)
				}
				// A killed master leaves its worker, which holds the port.
				before := b.Slot(1)
				if err := harness.Kill(before, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				b.SlotAfter(1, before)
				get(t, one)
				get(t, two)
				b.Signal(stop)
				b.WantCode(t, 0)
			})
		})
	}
}

const nginxConfig = `
worker_processes 1;
error_log stderr warn;
%[3]s
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen 127.0.0.1:%[2]d;
		location / { return 200 "nginx answers\n"; }
	}
}
`

// configureNginx writes a configuration without a PID file, which -g names.
func configureNginx(t *testing.T, dir string, port int) (path string) {
	t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	path = filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, nginxConfig, dir, port, user), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNginx(t *testing.T) {
	nginx := harness.Need(t, "nginx")
	for _, stop := range stopWays {
		t.Run(stop.String(), func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				dir, port := t.TempDir(), harness.Ports(t, 1)
				b := m.Start(t, "-n1", "--restart-backoff=1ms..10ms", "--",
					nginx, "-e", "stderr", "-c", configureNginx(t, dir, port), "-g", "daemon off; pid "+dir+"/nginx.pid;")
				url := fmt.Sprintf("http://127.0.0.1:%d/", port)
				if got := get(t, url); got != "nginx answers\n" {
					t.Errorf("it answers %q", got)
				}
				before := b.Slot(1)
				if err := harness.Kill(before, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				b.SlotAfter(1, before)
				get(t, url)
				b.Signal(stop)
				b.WantCode(t, 0)
			})
		})
	}
}
