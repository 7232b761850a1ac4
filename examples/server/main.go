// Server is a web service of several processes on package service: no brood is
// in its image, because it is its own.
//
//	server -n4
//	curl http://127.0.0.1:8080/
//	server status
//	server reload
//
// Prepare loads what every worker needs, once. Each worker serves on the socket
// that the parent has bound, so that a reload loses no request. Finish runs when
// all of them have ended.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/brood-init/brood/service"
	"github.com/brood-init/brood/service/early"
)

func main() {
	os.Exit(service.Run(service.Service{
		Prepare:  prepare,
		MainLoop: serve,
		Finish:   finish,
		Defaults: []string{"--listen=web=tcp://:8080", "--max-surge=1"},
		Signals:  early.Signals(),
	}))
}

// cache is where Prepare leaves what workers read. They are processes of their
// own, so a variable of the program would not reach them; this one does, because
// it is in the environment.
const cache = "SERVER_CACHE"

func prepare(context.Context) error {
	dir, err := os.MkdirTemp("", "server-")
	if err != nil {
		return fmt.Errorf("cannot make a directory for what workers share: %w", err)
	}
	if err := os.Setenv(cache, dir); err != nil {
		return err
	}
	return os.WriteFile(greeting(), fmt.Appendf(nil, "hello from one of %d workers", service.ProcessCount()), 0o644)
}

func greeting() string { return filepath.Join(os.Getenv(cache), "greeting") }

func serve(ctx context.Context, w service.Worker) error {
	text, err := os.ReadFile(greeting())
	if err != nil {
		return err
	}
	socket, err := service.ListenerNamed("web")
	if err != nil {
		return err
	}
	pages := http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(out, "%s: slot=%d pid=%d incarnation=%d\n", text, w.Slot, os.Getpid(), w.Incarnation)
	})
	return service.ServeHTTP(ctx, &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second}, socket)
}

func finish(context.Context) error {
	return os.RemoveAll(os.Getenv(cache)) //nolint:gosec // the directory that prepare has made
}
