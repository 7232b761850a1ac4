//go:build webconfig

package webconfig_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/httpd"
	"github.com/brood-init/brood/internal/webconfig"
)

// served is a listener that is protected by a file.
type served struct {
	address, file string
	reported      chan error
}

func serve(t *testing.T, file string) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{address: l.Addr().String(), file: file, reported: make(chan error, 16)}
	options := httpd.Options{
		Requests: webconfig.Requests,
		Through:  webconfig.Through(file, func(err error) { s.reported <- err }),
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello", r.Proto) })
	stop, done, begun := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() { done <- httpd.Serve(&telling{Listener: l, begun: begun}, hello, options, stop) }()
	t.Cleanup(func() {
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
	})
	select {
	case <-begun:
	case <-time.After(time.Minute):
		t.Fatal("nothing is served")
	}
	return s
}

// telling is a listener that tells when it is used.
type telling struct {
	net.Listener
	begun chan struct{}
	once  sync.Once
}

func (l *telling) Accept() (net.Conn, error) {
	l.once.Do(func() { close(l.begun) })
	return l.Listener.Accept()
}

func (s *served) get(t *testing.T, client *http.Client, scheme, user, password string) (int, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+s.address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// plain is a client that keeps no connection.
func plain() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	// As an editor or the kubelet does it: never half a file.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// passwords is a file that lets in a user called prometheus.
func passwords(t *testing.T, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return "basic_auth_users:\n  prometheus: " + string(hash) + "\n"
}

// certificate writes a key and a certificate of 127.0.0.1, and returns a pool
// that trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "brood"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tls.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

func secure(pool *x509.CertPool) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}
}

func TestOnlyThePasswordLetsIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write(t, file, passwords(t, "secret", bcrypt.MinCost))
	s := serve(t, file)
	for _, c := range []struct {
		user, password string
		want           int
	}{
		{"", "", http.StatusUnauthorized},
		{"prometheus", "wrong", http.StatusUnauthorized},
		{"somebody", "secret", http.StatusUnauthorized},
		{"prometheus", "secret", http.StatusOK},
	} {
		if code, err := s.get(t, plain(), "http", c.user, c.password); err != nil || code != c.want {
			t.Errorf("%q with %q: %d, %v; want %d", c.user, c.password, code, err, c.want)
		}
	}
}

func TestANewPasswordCountsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write(t, file, passwords(t, "old", bcrypt.MinCost))
	s := serve(t, file)
	write(t, file, passwords(t, "new", bcrypt.MinCost))
	if code, err := s.get(t, plain(), "http", "prometheus", "old"); err != nil || code != http.StatusUnauthorized {
		t.Errorf("the old one: %d, %v", code, err)
	}
	if code, err := s.get(t, plain(), "http", "prometheus", "new"); err != nil || code != http.StatusOK {
		t.Errorf("the new one: %d, %v", code, err)
	}
}

func TestTLSAndANewCertificateWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "web.yml")
	pool := certificate(t, dir)
	write(t, file, "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n")
	s := serve(t, file)
	if code, err := s.get(t, secure(pool), "https", "", ""); err != nil || code != http.StatusOK {
		t.Errorf("by TLS: %d, %v", code, err)
	}
	if code, err := s.get(t, plain(), "http", "", ""); err != nil || code != http.StatusBadRequest {
		t.Errorf("without TLS: %d, %v", code, err)
	}
	conn, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: pool, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("they speak %q: the streams of HTTP/2 are not bounded", got)
	}
	next := certificate(t, dir)
	if code, err := s.get(t, secure(next), "https", "", ""); err != nil || code != http.StatusOK {
		t.Errorf("with the new certificate: %d, %v", code, err)
	}
	if _, err := s.get(t, secure(pool), "https", "", ""); err == nil {
		t.Error("the old certificate is still shown")
	}
}

func TestAFileThatCannotBeUsedIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		dir:                        "no regular file",
		pipe:                       "no regular file",
		"/dev/zero":                "no regular file",
		file("huge", strings.Repeat("#\n", 1<<20)):                                              "more than",
		file("words", "basic_auth: {}\n"):                                                       "not found",
		file("hash", "basic_auth_users: {a: secret}\n"):                                         "bcrypt",
		file("key", "tls_server_config: {cert_file: /none, key_file: /none}\n"):                 "no such file",
		file("half", "tls_server_config: {cert_file: /none}\n"):                                 "key",
		file("header", "http_server_config: {headers: {X-Frame-Options: perhaps}}\n"):           "X-Frame-Options",
		file("bomb", "a: &a [x,x,x,x,x,x,x,x,x]\nb: [*a,*a,*a,*a,*a]\n"+strings.Repeat("[", 9)): "",
	} {
		err := webconfig.Check(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
}

func TestWhatAFileProtects(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	for text, want := range map[string]bool{
		"": false,
		"http_server_config: {headers: {X-Frame-Options: deny}}\n":            false,
		"basic_auth_users: {}\n":                                              false,
		"basic_auth_users: {a: b}\n":                                          true,
		"tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n":        true,
		"tls_server_config: {client_auth_type: RequireAndVerifyClientCert}\n": true,
	} {
		write(t, file, text)
		if got := webconfig.Protects(file); got != want {
			t.Errorf("%q protects: %v", text, got)
		}
	}
}

func TestAFileThatTurnsBadRefusesClientsUntilItIsGoodAgain(t *testing.T) {
	dir := t.TempDir()
	good := passwords(t, "secret", bcrypt.MinCost)
	for name, spoil := range map[string]func(file string) error{
		"garbage":   func(file string) error { return os.WriteFile(file, []byte("{"), 0o600) },
		"removed":   os.Remove,
		"directory": func(file string) error { return os.Mkdir(file, 0o700) },
		"pipe":      func(file string) error { return unix.Mkfifo(file, 0o600) },
		"endless":   func(file string) error { return os.Symlink("/dev/zero", file) },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			write(t, file, good)
			s := serve(t, file)
			if name != "removed" && name != "garbage" {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			if err := spoil(file); err != nil {
				t.Fatal(err)
			}
			for range 3 { // closed at once or 500: in no case let in, and in no case for ever
				if code, err := s.get(t, plain(), "http", "prometheus", "secret"); err == nil && code != http.StatusInternalServerError {
					t.Errorf("answered with %d", code)
				}
			}
			select {
			case <-s.reported:
			case <-time.After(time.Minute):
				t.Error("nobody was told")
			}
			if len(s.reported) > 0 {
				t.Errorf("told again: %v", <-s.reported)
			}
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			write(t, file, good)
			if code, err := s.get(t, plain(), "http", "prometheus", "secret"); err != nil || code != http.StatusOK {
				t.Errorf("when it is good again: %d, %v", code, err)
			}
		})
	}
}

// A hash of cost 10 takes some 50 ms, one after another and not to be
// interrupted.
func TestGuessingPasswordsCostsOneProcessorAndNoMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write(t, file, passwords(t, "secret", 7))
	s := serve(t, file)
	if code, err := s.get(t, plain(), "http", "prometheus", "secret"); err != nil || code != http.StatusOK {
		t.Fatalf("before: %d, %v", code, err)
	}
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	var mu sync.Mutex
	codes, most := make(map[int]int), 0
	for n := range 200 {
		group.Go(func() {
			// Gone again at once: the hash is computed all the same.
			code, _ := s.get(t, plain(), "http", "prometheus", fmt.Sprint("guess", n))
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
			most = max(most, runtime.NumGoroutine())
		})
	}
	group.Wait()
	if codes[http.StatusUnauthorized] == 0 || codes[http.StatusServiceUnavailable] == 0 || codes[http.StatusOK] != 0 {
		t.Errorf("answers: %v; want some 401, and 503 for the crowd", codes)
	}
	if most > before+200*6 {
		t.Errorf("%d goroutines, %d before", most, before)
	}
	// Who is known is not asked to wait for the others.
	if code, err := s.get(t, plain(), "http", "prometheus", "secret"); err != nil || code != http.StatusOK {
		t.Errorf("afterwards: %d, %v", code, err)
	}
}
