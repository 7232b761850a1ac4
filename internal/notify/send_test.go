package notify_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/notify"
)

func TestSendSpeaksToPathsAndAbstractNames(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "n.sock"), fmt.Sprintf("@brood-test-%d", os.Getpid())} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if err := notify.Send(address, "READY=1\nSTATUS=4 of 4"); err != nil {
			t.Errorf("%q: %v", address, err)
		}
		got := make([]byte, 100)
		n, err := manager.Read(got)
		if err != nil || string(got[:n]) != "READY=1\nSTATUS=4 of 4" {
			t.Errorf("%q: %q, %v", address, got[:n], err)
		}
		_ = manager.Close()
	}
}

func TestSendRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, address := range []string{"vsock:2:1234", "vsock-stream:2:1", "run/notify", "@", "/", "tcp://x"} {
		if err := notify.Send(address, "READY=1"); !errors.Is(err, notify.ErrAddress) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if err := notify.Send("", "READY=1"); err != nil {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestSendSaysWhyNobodyGotIt(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "n.sock")
	if err := notify.Send(nowhere, "READY=1"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v", err)
	}
	if err := notify.Send("@brood-nobody", "READY=1"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}

// A manager that does not read holds brood up for a moment and no longer.
func TestSendDoesNotWaitForEver(t *testing.T) {
	address := filepath.Join(t.TempDir(), "n.sock")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	began := time.Now()
	for err == nil && time.Since(began) < fatalWait {
		began = time.Now()
		err = notify.Send(address, "WATCHDOG=1")
	}
	if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took > 10*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func Example() {
	server := notify.New(notify.Options{
		Owner: func(int, int) (slot, incarnation int, ok bool) { return 1, 1, true },
		Heard: func(m notify.Message) { fmt.Println("slot", m.Slot, "ready", m.Ready, *m.Status) },
	})
	address, err := server.Open(1, -1)
	if err != nil {
		return
	}
	// A worker finds the address in NOTIFY_SOCKET.
	_ = notify.Send(address, "READY=1\nSTATUS=listening")
	barrier(address)
	_ = server.Close()
	// Output: slot 1 ready true listening
}

// barrier waits until all that was sent before has been heard.
func barrier(address string) {
	read, write, err := os.Pipe()
	if err != nil {
		return
	}
	_ = sendWith(address, "BARRIER=1", int(write.Fd()))
	_ = write.Close()
	_, _ = read.Read(make([]byte, 1))
	_ = read.Close()
}

// sendWith sends descriptors too.
func sendWith(address, state string, fds ...int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Sendmsg(fd, []byte(state), unix.UnixRights(fds...), &unix.SockaddrUnix{Name: address}, 0)
}
