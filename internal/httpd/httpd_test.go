package httpd_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/httpd"
)

func serve(t *testing.T, o httpd.Options, handler http.HandlerFunc) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- httpd.Serve(l, handler, o, stop) }()
	t.Cleanup(func() {
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
		// A refused client gets half a second to read the answer (net/http).
		goleak.VerifyNone(t, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
	})
	return l.Addr().String()
}

func get(address string) (int, error) {
	response, err := http.Get("http://" + address + "/")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func dial(t *testing.T, address, say string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, say); err != nil {
		t.Fatal(err)
	}
	return conn
}

// closedByServer reports whether the other side closes a connection.
func closedByServer(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := io.Copy(io.Discard, conn)
	timeout, ok := errors.AsType[net.Error](err)
	return !ok || !timeout.Timeout()
}

func TestHalfOpenConnectionsKeepNobodyOut(t *testing.T) {
	// No timeout helps here: whoever gets in does so at the cost of another.
	address := serve(t, httpd.Options{Connections: 8, ReadTimeout: time.Hour}, ok)
	first := dial(t, address, "G")
	for range 500 {
		dial(t, address, "GET / HTTP/1.1\r\nHost: ")
	}
	for range 20 {
		if code, err := get(address); err != nil || code != http.StatusOK {
			t.Fatalf("with 500 half-open connections: %d, %v", code, err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	if !closedByServer(first) {
		t.Error("the oldest half-open connection is still there")
	}
}

func TestASlowRequestIsCutOffInTime(t *testing.T) {
	address := serve(t, httpd.Options{ReadTimeout: 100 * time.Millisecond}, ok)
	if !closedByServer(dial(t, address, "G")) {
		t.Error("one byte holds a connection for ten seconds")
	}
}

func TestWhoIsBeingAnsweredStaysBeforeWhoWaits(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	address := serve(t, httpd.Options{Connections: 4, ReadTimeout: time.Hour}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(asked)
			<-answer
		}
		ok(w, r)
	})
	slow := dial(t, address, "GET /slow HTTP/1.0\r\n\r\n")
	<-asked
	for range 50 {
		dial(t, address, "G")
	}
	if code, err := get(address); err != nil || code != http.StatusOK {
		t.Errorf("a newcomer: %d, %v", code, err)
	}
	close(answer)
	text, err := io.ReadAll(slow)
	if err != nil || !strings.Contains(string(text), "200 OK") {
		t.Errorf("the answer that was on its way: %q, %v", text, err)
	}
}

func TestWhenAllAreBeingAnsweredTheLongestLeaves(t *testing.T) {
	const places = 4
	asked, gone := make(chan struct{}, places), make(chan struct{}, places)
	address := serve(t, httpd.Options{Connections: places}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hangs" {
			asked <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
			return
		}
		ok(w, r)
	})
	for range places {
		dial(t, address, "GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n")
		<-asked
	}
	if code, err := get(address); err != nil || code != http.StatusOK {
		t.Errorf("a newcomer: %d, %v", code, err)
	}
	<-gone
}

func TestClientsThatReadNothingKeepNobodyOut(t *testing.T) {
	began := make(chan struct{}, 100)
	address := serve(t, httpd.Options{Connections: 4, WriteTimeout: time.Hour}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			ok(w, r)
			return
		}
		began <- struct{}{}
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	for range 20 {
		dial(t, address, "GET /endless HTTP/1.0\r\n\r\n")
		<-began
	}
	for range 10 {
		if code, err := get(address); err != nil || code != http.StatusOK {
			t.Fatalf("beside clients that read nothing: %d, %v", code, err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

// What is on the wire, and what may be the first line of the answer.
func TestOddRequestsAreAnsweredOrRefused(t *testing.T) {
	address := serve(t, httpd.Options{}, ok)
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct{ say, want string }{
		"HTTP/1.0":                {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"},
		"HTTP/0.9":                {"GET /\r\n\r\n", "HTTP/1.1 400 "},
		"HTTP/2 without TLS":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 "},
		"an upgrade to h2c":       {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", "HTTP/1.1 200 OK"},
		"no host":                 {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		"TLS to a plain listener": {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTP/1.1 400 "},
		"a huge query":            {"GET /?" + long + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 431 "},
		"a huge header":           {"GET / HTTP/1.1\r\nHost: x\r\nX: " + long + "\r\n\r\n", "HTTP/1.1 431 "},
		"a body of two lengths":   {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "HTTP/1.1 400 "},
		"zeros":                   {strings.Repeat("\x00", 4096) + "\r\n\r\n", "HTTP/1.1 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(conn, c.say) // the server may have heard enough before the end
			line, err := bufio.NewReader(conn).ReadString('\n')
			cut := errors.Is(err, unix.ECONNRESET) && len(c.say) > len(long)
			if !cut && !strings.HasPrefix(line, c.want) {
				t.Errorf("answered by %q, %v; want %q", line, err, c.want)
			}
		})
	}
	if code, err := get(address); err != nil || code != http.StatusOK {
		t.Errorf("afterwards: %d, %v", code, err)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	address := serve(t, httpd.Options{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.URL.Path) })
	const requests = 200
	var say strings.Builder
	for n := range requests {
		fmt.Fprintf(&say, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", n)
	}
	answers := bufio.NewReader(dial(t, address, say.String()))
	for n := range requests {
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != fmt.Sprintf("/%d\n", n) {
			t.Fatalf("answer %d: %q, %v", n, text, err)
		}
	}
}

func TestAHugeHeaderIsRefused(t *testing.T) {
	address := serve(t, httpd.Options{Header: 4096}, ok)
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Big", strings.Repeat("x", 1<<20))
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered with %s", response.Status)
		}
	}
	if code, err := get(address); err != nil || code != http.StatusOK {
		t.Errorf("afterwards: %d, %v", code, err)
	}
}

func TestAPanicIsReportedAndServingGoesOn(t *testing.T) {
	reported := make(chan error, 1)
	first := true
	address := serve(t, httpd.Options{Report: func(err error) { reported <- err }}, func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			panic(errors.New("a mistake"))
		}
		ok(w, r)
	})
	if code, err := get(address); err != nil || code != http.StatusInternalServerError {
		t.Errorf("the one that panicked: %d, %v", code, err)
	}
	if err := <-reported; !strings.Contains(err.Error(), "a mistake") {
		t.Errorf("reported: %v", err)
	}
	if code, err := get(address); err != nil || code != http.StatusOK {
		t.Errorf("the next: %d, %v", code, err)
	}
}
