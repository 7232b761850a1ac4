package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// whoami answers with a name of its own.
func whoami(name string) http.Handler { return handler{identity: name}.routes() }

// get asks over a connection of its own, as a new client does.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func TestIdentity(t *testing.T) {
	pid := os.Getpid()
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"worker", map[string]string{"BROOD_SLOT": "2", "BROOD_INCARNATION": "3"}, fmt.Sprintf("slot=2 pid=%d incarnation=3", pid)},
		{"alone", nil, fmt.Sprintf("slot=- pid=%d incarnation=-", pid)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := identity(func(key string) string { return c.env[key] }); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		path   string
		status int
		body   string
		ended  string
	}{
		{"/", 200, "me\n", ""},
		{"/slow?for=1ms", 200, "me\n", ""},
		{"/slow?for=1h", 400, "", ""},
		{"/slow", 400, "", ""},
		{"/exit?code=3", 200, "me\n", "exit 3"},
		{"/exit?code=256", 400, "", ""},
		{"/exit", 400, "", ""},
		{"/crash", 200, "me\n", "crash"},
		{"/nowhere", 404, "", ""},
	} {
		t.Run(c.path, func(t *testing.T) {
			ended := make(chan string, 1)
			server := httptest.NewServer(handler{
				identity: "me",
				exit:     func(code int) { ended <- fmt.Sprint("exit ", code) },
				crash:    func() { ended <- "crash" },
			}.routes())
			status, body := get(t, server.URL+c.path)
			server.Close() // waits for the handler
			if status != c.status || (c.body != "" && body != c.body) {
				t.Errorf("got %d %q, want %d %q", status, body, c.status, c.body)
			}
			var got string
			select {
			case got = <-ended:
			default:
			}
			if got != c.ended {
				t.Errorf("worker did %q, want %q", got, c.ended)
			}
		})
	}
}

func TestWorkersShareAPort(t *testing.T) {
	first, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second, err := listen(t.Context(), first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 2)
	go func() { served <- serve(ctx, first, whoami("first")) }()
	go func() { served <- serve(ctx, second, whoami("second")) }()

	answered := map[string]bool{}
	for range 200 { // the kernel picks by a hash of the addresses
		_, body := get(t, "http://"+first.Addr().String()+"/")
		answered[strings.TrimSpace(body)] = true
		if len(answered) == 2 {
			break
		}
	}
	if !answered["first"] || !answered["second"] {
		t.Errorf("answers came from %v, want both workers", answered)
	}
	cancel()
	for range 2 {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestStopWaitsForRequests(t *testing.T) {
	listener, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(arrived)
			<-release
			fmt.Fprint(w, "done")
		}))
	}()
	go func() {
		<-arrived
		cancel()
		for { // the port is closed before the request is answered
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
			if err != nil {
				break
			}
			conn.Close()
		}
		close(release)
	}()
	if _, body := get(t, "http://"+listener.Addr().String()+"/"); body != "done" {
		t.Errorf("the request under way got %q", body)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestPortIsTaken(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0") // without SO_REUSEPORT
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = run(t.Context(), func(name string) string { return map[string]string{"PORT": port}[name] })
	if err == nil || !strings.Contains(err.Error(), "cannot listen") {
		t.Errorf("got %v, want an error that says what failed", err)
	}
}
