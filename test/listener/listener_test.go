// Package listener_test attacks the listener of metrics of a real brood: it
// must keep answering probes, and stay small.
package listener_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	// prompt is how long a probe may take; the kubelet's default is a second. The
	// machine may be busy with other tests, but 5 s are what a silent client has:
	// nobody is to wait for it.
	prompt = 4500 * time.Millisecond
	// crowded is the same while brood makes pages for hundreds, which takes all CPUs.
	// Who does not read them has 30 s.
	crowded = 15 * time.Second
	// mostFDs is what brood may have open: 256 clients, and its own.
	mostFDs = 256 + 64
	// mostMemory is brood's resident memory under attack; idle it is 11 MB.
	mostMemory = 48 << 20
	// mostThreads counts what blocks in the kernel: nobody who is slow does.
	mostThreads = 24
)

func start(t *testing.T, flags ...string) (b *harness.Brood, address string) {
	t.Helper()
	address = harness.Address(t)
	b = harness.Mode{}.Start(t, append([]string{"-n2", "--ready", "100ms", "--metrics-addr", address}, append(flags, "--", "worker", "wait")...)...)
	b.WaitRunning(2)
	harness.Until(t, "it is ready", func() bool { code, _, _ := probe(address, "/readyz"); return code == http.StatusOK })
	return b, address
}

// probe asks as a kubelet does, by a connection of its own.
func probe(address, path string) (code int, body string, err error) {
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// calm fails the test unless probes are answered at once, all of them, and
// brood is no bigger than it may be.
func calm(t *testing.T, b *harness.Brood, address string, within time.Duration) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/livez", "/readyz", "/livez"} {
		began := time.Now()
		code, body, err := probe(address, path)
		if took := time.Since(began); err != nil || code != http.StatusOK || took > within {
			t.Errorf("%s: %d %q, %v after %s", path, code, body, err, took)
		}
	}
	p, _ := harness.Look(b.PID)
	kilobytes, _ := strconv.Atoi(strings.TrimSuffix(p.Status("VmRSS"), " kB"))
	threads, _ := strconv.Atoi(p.Status("Threads"))
	fds := len(harness.FDs(b.PID))
	t.Logf("%d MB, %d descriptors, %d threads", kilobytes>>10, fds, threads)
	if kilobytes<<10 > mostMemory || fds > mostFDs || threads > mostThreads || kilobytes == 0 {
		t.Errorf("brood has grown: %d KB, %d descriptors, %d threads", kilobytes, fds, threads)
	}
}

// crowd opens connections that each say something and then nothing, until the
// test ends.
func crowd(t *testing.T, address string, many int, say string) {
	t.Helper()
	for range many {
		conn, err := net.DialTimeout("tcp", address, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, say) // it may have been put out already
	}
}

func TestACrowdThatIsSlowKeepsNoProbeOut(t *testing.T) {
	for name, say := range map[string]string{
		"says nothing":             "",
		"says half of a request":   "GET /metrics HTTP/1.1\r\nHost: x\r\nX-A: ",
		"reads nothing":            strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 40),
		"reads nothing of a page":  strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 40),
		"sends a body without end": "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx",
		"keeps its connection":     "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"sends a large header":     "GET /metrics HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 15<<10),
	} {
		t.Run(name, func(t *testing.T) {
			b, address := start(t)
			crowd(t, address, 500, say)
			within := prompt
			if strings.HasPrefix(name, "reads nothing") {
				within = crowded
			}
			calm(t, b, address, within)
			b.Stop(t, 0)
		})
	}
}

func TestAThousandScrapersAtOnce(t *testing.T) {
	b, address := start(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	codes := make(map[int]int)
	for range 1000 {
		group.Go(func() {
			code := scrape(address)
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	calm(t, b, address, crowded)
	group.Wait()
	if codes[http.StatusOK] < 50 {
		t.Errorf("answers: %v; want pages for many", codes)
	}
	t.Log("answers:", codes)
	calm(t, b, address, prompt)
	if _, page, err := probe(address, "/metrics"); err != nil || !strings.Contains(page, "brood_panics_total 0") {
		t.Errorf("afterwards: %v", err)
	}
	b.Stop(t, 0)
}

// scrape asks for a page with as little work as possible, since a thousand do.
// It returns 0 to a client that was put out.
func scrape(address string) (code int) {
	conn, err := net.DialTimeout("tcp", address, 20*time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.0\r\n\r\n"); err != nil {
		return 0
	}
	answer, err := io.ReadAll(conn)
	if err != nil || len(answer) < len("HTTP/1.0 200") {
		return 0
	}
	code, _ = strconv.Atoi(string(answer[len("HTTP/1.0 "):len("HTTP/1.0 200")]))
	return code
}

func TestProbesHaveAListenerOfTheirOwn(t *testing.T) {
	health := harness.Address(t)
	b, address := start(t, "--health-addr", health)
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 404, "/": 404} {
		if code, _, err := probe(health, path); err != nil || code != want {
			t.Errorf("%s at --health-addr: %d, %v; want %d", path, code, err, want)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/"} {
		if code, _, err := probe(address, path); err != nil || code != http.StatusOK {
			t.Errorf("%s at --metrics-addr: %d, %v", path, code, err)
		}
	}
	b.Stop(t, 0)
}

// protected builds the brood that can do it.
func protected(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "brood")
	build := exec.Command("go", "build", "-trimpath", "-tags=nethttpomithttp2,webconfig", "-o", program, "github.com/brood-init/brood/cmd/brood")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// hash is "secret" by bcrypt, of the lowest cost.
const hash = "$2a$04$WAg85bNkBoxAqzKpZBqOnOsJB6.PaHVxlUeXbumEU9BCn73zjCMme"

func TestAPasswordProtectsAllButTheProbes(t *testing.T) {
	program, dir := protected(t), t.TempDir()
	file := filepath.Join(dir, "web.yml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf("basic_auth_users: {prometheus: %q}\n", hash)), 0o600); err != nil {
		t.Fatal(err)
	}
	address, health := harness.Address(t), harness.Address(t)
	b := harness.Mode{}.StartWith(t, harness.Options{
		Program: program, Dir: dir, PIDFile: filepath.Join(dir, "run", "a.pid"),
		// A relative name is one in the directory that brood was started in.
		Args: []string{"-n1", "--pidfile", filepath.Join(dir, "run", "a.pid"), "--metrics-addr", address, "--health-addr", health, "--web-config-file", "web.yml", "--", "worker", "wait"},
	})
	harness.Until(t, "probes are answered", func() bool { code, _, _ := probe(health, "/livez"); return code == http.StatusOK })
	harness.Until(t, "it listens", func() bool { code, _, _ := probe(address, "/livez"); return code != 0 })
	for _, path := range []string{"/metrics", "/", "/livez", "/readyz", "/nothing"} {
		if code, _, err := probe(address, path); err != nil || code != http.StatusUnauthorized {
			t.Errorf("%s without a password: %d, %v", path, code, err)
		}
		if code, _, err := probe("prometheus:secret@"+address, path); err != nil || code == http.StatusUnauthorized {
			t.Errorf("%s with it: %d, %v", path, code, err)
		}
	}
	b.Stop(t, 0)

	refused := harness.Mode{}.StartWith(t, harness.Options{
		Program: program, Args: []string{"--web-config-file", dir, "--", "worker", "wait"},
	})
	refused.WantCode(t, 2)
	if !strings.Contains(refused.Stderr.String(), "cannot use --web-config-file") {
		t.Errorf("it said: %s", refused.Stderr)
	}
}
