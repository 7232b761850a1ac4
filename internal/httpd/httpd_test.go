package httpd_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/brood-init/brood/internal/httpd"
)

func serve(t *testing.T, limits httpd.Limits, handler http.HandlerFunc, report func(error)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- httpd.Serve(l, handler, limits, stop, report) }()
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

func TestSlowClientsLoseTheirPlace(t *testing.T) {
	address := serve(t, httpd.Limits{Connections: 8, ReadTimeout: 200 * time.Millisecond}, ok, nil)
	var slow []net.Conn
	for range 100 { // each sends one byte and keeps the line open
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("G"))
		slow = append(slow, conn)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if code, err := get(address); err == nil && code == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("slow clients keep everybody out")
		}
		runtime.Gosched()
	}
	_ = slow
}

func TestAHugeHeaderIsRefused(t *testing.T) {
	address := serve(t, httpd.Limits{Header: 4096}, ok, nil)
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
	address := serve(t, httpd.Limits{}, func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			panic(errors.New("a mistake"))
		}
		ok(w, r)
	}, func(err error) { reported <- err })
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
