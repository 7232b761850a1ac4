//go:build webconfig

package webconfig_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/brood-init/brood/internal/httpd"
	"github.com/brood-init/brood/internal/webconfig"
)

// A file is refused, or brood serves with it; and one that protects lets nobody in
// who neither speaks TLS nor has a password.
func FuzzCheck(f *testing.F) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		f.Fatal(err)
	}
	const certified = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n"
	for _, text := range []string{
		"", "{}", "basic_auth_users: {a: " + string(hash) + "}", "basic_auth_users: {a: b}", "basic_auth_users: {'': ''}", "basic_auth_users:",
		"basic_auth_users: {a: " + string(hash) + ", a: " + string(hash) + "}", "basic_auth_users: &x {a: *x}", "a: &a [*a]",
		certified, certified + "  client_auth_type: RequireAnyClientCert\n", certified + "  client_auth_type: NoClientCert\n  min_version: TLS13\n",
		certified + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  curve_preferences: [X25519]\n", certified + "  max_version: TLS10\n",
		certified + "basic_auth_users: {a: " + string(hash) + "}", "tls_server_config: {}", "tls_server_config: {cert_file: tls.crt}",
		"tls_server_config: {client_auth_type: RequireAndVerifyClientCert}", "tls_server_config: {cert: x, key: y}",
		"http_server_config: {http2: false, headers: {X-Frame-Options: deny, Strict-Transport-Security: 'max-age=3'}}",
		"http_server_config: {headers: {X-Frame-Options: \"a\\r\\nb\"}}", "rate_limit: {interval: 1h, burst: 1}", "rate_limit: {interval: -1s}",
	} {
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(dir, "web.yml")
		if _, err := os.Stat(filepath.Join(dir, "tls.key")); err != nil {
			certificate(t, dir)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if webconfig.Check(file) != nil {
			return
		}
		code := withoutPassword(t, file)
		if in := code == http.StatusOK || code == http.StatusTooManyRequests; webconfig.Protects(file) == in {
			t.Errorf("%q protects: %t, and the answer is %d", text, webconfig.Protects(file), code)
		}
	})
}

// withoutPassword is the code for who asks in plain HTTP without a password, 0 when
// the answer is none of HTTP.
func withoutPassword(t *testing.T, file string) int {
	t.Helper()
	here, there := net.Pipe()
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- there
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- httpd.Serve(l, hello, httpd.Options{Through: webconfig.Through(file, func(error) {})}, stop)
		_ = there.Close()
	}()
	defer func() {
		_ = here.Close()
		close(stop)
		if err := <-done; err != nil {
			t.Errorf("nothing is served: %v", err)
		}
	}()
	if err := here.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { // TLS may say no before anything was asked
		_, _ = io.WriteString(here, "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
	}()
	response, err := http.ReadResponse(bufio.NewReader(here), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("no answer")
	}
	if err != nil {
		return 0
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK && strings.Contains(string(text), "hello") {
		t.Errorf("%d: %q", response.StatusCode, text)
	}
	return response.StatusCode
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "b", Net: "unix"} }
