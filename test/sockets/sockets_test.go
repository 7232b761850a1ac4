// Package sockets_test puts a load on workers that share a socket while they
// are reloaded and killed: brood holds the socket, so nobody is refused.
package sockets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// load asks as fast as a few clients can, each request on its own connection.
type load struct {
	asked, answered, refused, cut atomic.Int64
	mu                            sync.Mutex
	slots                         map[string]bool
	first                         error // that was not foreseen
	stop                          chan struct{}
	clients                       sync.WaitGroup
}

func startLoad(clients int, address string) *load {
	l := &load{slots: make(map[string]bool), stop: make(chan struct{})}
	for range clients {
		l.clients.Go(func() {
			client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				select {
				case <-l.stop:
					return
				default:
					l.ask(&client, address)
				}
			}
		})
	}
	return l
}

func (l *load) ask(client *http.Client, address string) {
	l.asked.Add(1)
	answer, err := client.Get("http://" + address + "/")
	if err != nil {
		l.failed(err)
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		l.failed(fmt.Errorf("%s %w", answer.Status, err))
		return
	}
	l.answered.Add(1)
	l.mu.Lock()
	l.slots[strings.Fields(string(text))[0]] = true
	l.mu.Unlock()
}

func (l *load) failed(err error) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		l.refused.Add(1)
	} else {
		l.cut.Add(1)
	}
	l.mu.Lock()
	if l.first == nil {
		l.first = err
	}
	l.mu.Unlock()
}

func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	t.Logf("%d asked, %d answered, %d refused, %d cut, by slots %v", l.asked.Load(), l.answered.Load(), l.refused.Load(), l.cut.Load(), l.slots)
}

func reload(t *testing.T, b *harness.Brood) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	harness.Until(t, "brood can be asked", func() bool {
		return exec.CommandContext(ctx, harness.Binary(), "health", "--live", "--pidfile", b.PIDFile).Run() == nil
	})
	if out, err := exec.CommandContext(ctx, harness.Binary(), "reload", "--pidfile", b.PIDFile).CombinedOutput(); err != nil {
		t.Errorf("reload: %v\n%s", err, out)
	}
}

func TestAReloadUnderLoadLosesNoRequest(t *testing.T) {
	for name, flags := range map[string][]string{"with a surge": {"--max-unavailable", "0", "--max-surge", "1"}, "in place": nil} {
		t.Run(name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) {
				address := harness.Address(t)
				args := append(flags, "-n3", "--listen", "tcp://"+address, "--ready", "50ms", "--", "worker", "serve", "2ms")
				b := m.Start(t, args...)
				b.WaitRunning(3)
				l := startLoad(8, address)
				for range 10 {
					reload(t, b)
				}
				l.end(t)
				if l.refused.Load()+l.cut.Load() > 0 {
					t.Errorf("requests were lost: %v\n%s", l.first, b.Stderr)
				}
				if len(l.slots) < 3 {
					t.Errorf("slots %v have answered only", l.slots)
				}
				b.Stop(t, 0)
				if n := b.Stderr.Count("worker replaced"); n != 30 {
					t.Errorf("%d were replaced", n)
				}
			})
		})
	}
}

// A worker that is killed takes the requests that it was at with it, but the
// connections that come meanwhile wait for the others.
func TestKilledWorkersRefuseNobody(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		address := harness.Address(t)
		b := m.Start(t, "-n3", "--listen", "tcp://"+address, "--ready", "10ms", "--restart-backoff", "1ms..10ms", "--max-restarts", "1000/1m",
			"--", "worker", "serve", "1ms")
		b.WaitRunning(3)
		l := startLoad(4, address)
		for i := range 50 {
			slot := i%3 + 1
			before := b.Slot(slot)
			if err := harness.Kill(before, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			b.SlotAfter(slot, before)
		}
		l.end(t)
		if n := l.refused.Load(); n > 0 {
			t.Errorf("%d connections were refused", n)
		}
		if cut := l.cut.Load(); cut > 50*4 {
			t.Errorf("%d requests were cut: %v", cut, l.first)
		}
		b.Stop(t, 0)
	})
}

// Without workers the kernel keeps who connects.
func TestConnectionsWaitWhileNobodyIsThere(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		address := harness.Address(t)
		b := m.Start(t, "-n0", "--listen", "tcp://"+address, "--", "worker", "serve", "0s")
		var conn net.Conn
		harness.Until(t, "brood listens", func() bool {
			var err error
			conn, err = net.Dial("tcp", address)
			return err == nil
		})
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, "brood takes signals", func() bool {
			return exec.Command(harness.Binary(), "health", "--live", "--pidfile", b.PIDFile).Run() == nil
		})
		b.Signal(syscall.SIGTTIN)
		if err := conn.SetDeadline(time.Now().Add(harness.Fatal)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "200 OK") {
			t.Errorf("%q, %v", answer, err)
		}
		b.Stop(t, 0)
		if late, err := net.Dial("tcp", address); err == nil {
			_ = late.Close()
			t.Error("somebody listens after brood has left")
		}
	})
}

func TestTheThreeDialectsNameTheSameSockets(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		dir := t.TempDir()
		address, socket := harness.Address(t), filepath.Join(dir, "app.sock")
		b := m.Start(t, "-n1", "--restart", "never", "--listen", "web=tcp://"+address, "--listen", "unix://"+socket, "--",
			"sh", "-c", "env | grep -E '^(LISTEN|SERVER_STARTER|EINHORN)' | sort >"+dir+"/env; echo $$ >"+dir+"/pid; ls -l /proc/self/fd | grep -c socket: >"+dir+"/sockets")
		b.WantCode(t, 0)
		want := "EINHORN_FD_0=3\nEINHORN_FD_1=4\nEINHORN_FD_COUNT=2\nLISTEN_FDNAMES=web:unknown\nLISTEN_FDS=2\nLISTEN_PID=" +
			harness.Content(filepath.Join(dir, "pid")) + "SERVER_STARTER_PORT=" + address + "=3;" + socket + "=4\n"
		if got := harness.Content(filepath.Join(dir, "env")); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
		if got := harness.Content(filepath.Join(dir, "sockets")); got != "2\n" {
			t.Errorf("the worker has %s sockets", got)
		}
		if _, err := os.Lstat(socket); !os.IsNotExist(err) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
}

func TestASocketThatCannotBeHadStartsNothing(t *testing.T) {
	harness.Both(t, func(t *testing.T, m harness.Mode) {
		if m.PID1 {
			t.Skip("the same without a namespace")
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := m.Start(t, "-n1", "--prepare", "touch /tmp/never", "--listen", "tcp://"+l.Addr().String(), "--", "true")
		b.WantCode(t, 2)
		b.WaitLog("--listen", l.Addr().String(), "address already in use")
	})
}
