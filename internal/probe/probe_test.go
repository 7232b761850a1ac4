package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/brood-init/brood/internal/expand"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatCannotBeAskedIsRefusedWithWhatCan(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "want tcp://",
		"8080":                       "want tcp://",
		"tcp://":                     "want tcp://",
		"tcp://localhost":            "want tcp://",
		"tcp://localhost:":           "want tcp://",
		"tcp://localhost:nothing":    "no port",
		"tcp://localhost:{nonsense}": "nonsense",
		"unix://relative":            "absolute",
		"http://":                    "want tcp://",
		"http+unix:///run/x.sock":    "colon",
		"https://localhost/":         "certificate",
		"ftp://x":                    "not known",
		"http://localhost:80/%zz":    "URL",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, text string, slot int) error {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if p.String() != text {
		t.Errorf("it calls itself %q", p)
	}
	return p.Check(within(t, 5*time.Second), expand.Values{Slot: slot, Index: slot - 1, Count: 2})
}

func TestAConnectionIsEnough(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := check(t, "tcp://127.0.0.1:"+port, 1); err != nil {
		t.Error(err)
	}
	if err := check(t, "tcp://:"+port, 1); err != nil {
		t.Errorf("without a host: %v", err)
	}
	_ = l.Close()
	if err := check(t, "tcp://127.0.0.1:"+port, 1); err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), port) {
		t.Errorf("nobody listens: %v", err)
	}
	dir := t.TempDir()
	l, err = net.Listen("unix", filepath.Join(dir, "2.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := check(t, "unix://"+dir+"/{slot}.sock", 2); err != nil {
		t.Error(err)
	}
	if err := check(t, "unix://"+dir+"/{slot}.sock", 1); err == nil {
		t.Error("the other slot has no socket")
	}
}

func TestThePageDecides(t *testing.T) {
	codes := map[string]int{"/ok": 200, "/moved": 302, "/missing": 404, "/broken": 503}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			w.Header().Set("Location", "/broken")
		}
		if r.URL.Path == "/big" {
			w.Header().Set("X-Big", strings.Repeat("x", 1<<20))
		}
		if code := codes[r.URL.Path]; code != 0 {
			w.WriteHeader(code)
		}
	})
	s := httptest.NewServer(page)
	defer s.Close()
	for path, ok := range map[string]bool{"/ok": true, "/moved": true, "/missing": false, "/broken": false, "": true, "/?a={slot}": true, "/big": false} {
		if err := check(t, s.URL+path, 1); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	socket := filepath.Join(t.TempDir(), "http.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: page, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	if err := check(t, "http+unix://"+socket+":/ok", 1); err != nil {
		t.Error(err)
	}
	if err := check(t, "http+unix://"+socket+":/broken", 1); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("broken: %v", err)
	}
}

func TestNobodyIsWaitedForLongerThanAllowed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // whose connections nobody accepts or reads
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := Parse("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := p.Check(within(t, 50*time.Millisecond), expand.Values{}); err == nil || err.Error() != "no answer in time" {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"tcp://:1", "unix:///a", "http://[::1]:80/x?y", "http+unix:///a:/b", "exec:x", "tcp://{8080+index}:{slot}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if (p == nil) == (err == nil) {
			if err == nil {
				t.Fatal("neither a probe nor an error")
			}
		}
	})
}

// A page is somewhere that can be asked, whichever slot it is of.
func FuzzParsePage(f *testing.F) {
	for _, seed := range []string{"http://:9000/metrics", "http://[::1]:{9000+index}/x?y", "unix:///run/{slot}.sock:/metrics", "http+unix:///a:/b", "https://a/", "unix://:/", "http:///", "http://a b/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePage(text)
		if err != nil {
			if p != nil {
				t.Error("a page and an error")
			}
			return
		}
		if p == nil {
			t.Fatal("neither a page nor an error")
		}
		if _, err := p.Request(t.Context(), expand.Values{Slot: 1, Count: 1}); err != nil {
			t.Errorf("%q is taken, and cannot be asked for: %v", text, err)
		}
	})
}
