// Web is a small service to try brood with. All its workers listen on one port:
// each binds it with SO_REUSEPORT, and the kernel deals the connections out.
//
//	PORT=8080 brood -n 3 -- web
//	curl http://127.0.0.1:8080/
//
// An answer says which worker gave it: "slot=2 pid=123 incarnation=1".
//
//	/               the answer
//	/slow?for=2s    the answer, later; a stop waits for it
//	/exit?code=3    the answer, and then this worker exits with the code
//	/crash          the answer, and then this worker panics
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shutdownTimeout is how long requests under way may take once the worker has
// been told to stop. It has to fit into the grace that brood gives.
const shutdownTimeout = 5 * time.Second

func main() {
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	if err := run(ctx, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then until the requests under way are done.
func run(ctx context.Context, getenv func(string) string) error {
	port := getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := listen(ctx, ":"+port)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	return serve(ctx, listener, handler{identity: identity(getenv), exit: os.Exit, crash: crash}.routes())
}

// listen binds an address that other workers bind as well.
func listen(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, failed)
	}}
	return config.Listen(ctx, "tcp", address)
}

func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// A new context: the one that has ended would end the wait at once.
	end, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		return fmt.Errorf("requests were cut off: %w", err)
	}
	return nil
}

// identity is the answer: who this worker is, as brood has told it.
func identity(getenv func(string) string) string {
	word := func(name string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return "-" // not under brood
	}
	return fmt.Sprintf("slot=%s pid=%d incarnation=%s", word("BROOD_SLOT"), os.Getpid(), word("BROOD_INCARNATION"))
}
