// Command program is a service on package service, for its tests. The words
// after -- say what its workers do, variables what Prepare and Finish do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/brood-init/brood/service"
	"github.com/brood-init/brood/service/early"
)

// version tells two builds apart.
var version = "1"

// prepared does not reach workers, and does reach Finish.
var prepared string

// Packages may take their time before main: this one waits for a file.
var _ = hold(os.Getenv("HELD"), os.Getenv("GATE"))

func hold(held, gate string) bool {
	if held == "" {
		return false
	}
	_ = os.WriteFile(held, []byte("held\n"), 0o600)
	for {
		if _, err := os.Stat(gate); err == nil {
			return true
		}
		time.Sleep(time.Millisecond)
	}
}

func main() {
	os.Exit(service.Run(service.Service{
		Prepare:  prepare,
		MainLoop: mainLoop,
		Finish:   finish,
		Defaults: []string{"--metrics-addr=none", "--ready=50ms", "--restart-backoff=10ms..100ms"},
		Signals:  early.Signals(),
	}))
}

func prepare(ctx context.Context) error {
	prepared = "yes"
	// What a worker gets, it gets by the environment.
	if err := os.Setenv("FROM_PREPARE", "hello"); err != nil {
		return err
	}
	note("prepare count=%d dir=%s", service.ProcessCount(), wd())
	switch os.Getenv("PREPARE") {
	case "error":
		return errors.New("no database")
	case "panic":
		panic("prepare panics")
	case "slow":
		<-ctx.Done()
		return ctx.Err()
	case "stuck":
		select {}
	case "exec":
		for range 50 {
			code := -1
			if err := exec.Command("sh", "-c", "exit 7").Run(); err != nil {
				code = asExit(err)
			}
			if code != 7 {
				return fmt.Errorf("a command that exits with 7 has exited with %d", code)
			}
		}
	case "helper":
		helper := exec.Command("worker", "report", os.Getenv("HELPER"))
		if err := helper.Start(); err != nil {
			return err
		}
		return service.Register(0, helper.Process)
	}
	return nil
}

func asExit(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

func finish(ctx context.Context) error {
	deadline, bounded := ctx.Deadline()
	note("finish prepared=%q bounded=%t", prepared, bounded && time.Until(deadline) < time.Hour)
	switch os.Getenv("FINISH") {
	case "error":
		return errors.New("cannot flush")
	case "panic":
		panic("finish panics")
	case "stuck":
		select {}
	case "exec":
		return exec.Command("true").Run()
	}
	return nil
}

func mainLoop(ctx context.Context, w service.Worker) error {
	slot := flag.Int("only", 0, "the slot that does it")
	flag.Parse()
	note("worker slot=%d index=%d count=%d incarnation=%d leader=%t prepared=%q environment=%s version=%s args=%q marker=%q dir=%s pidpath=%t",
		w.Slot, w.Index, w.Count, w.Incarnation, w.Leader, prepared, os.Getenv("FROM_PREPARE"), version, w.Args, os.Getenv("_BROOD_WORKER"), wd(),
		service.PIDPath(w.Slot) == os.Getenv("BROOD_WORKER_PIDFILE"))
	if *slot != 0 && *slot != w.Slot {
		<-ctx.Done()
		return ctx.Err()
	}
	switch flag.Arg(0) {
	case "complete":
		return nil
	case "error":
		return errors.New("the queue is gone")
	case "panic":
		panic("main loop panics")
	case "exit":
		code, _ := strconv.Atoi(flag.Arg(1))
		os.Exit(code)
	case "ignore":
		select {}
	case "serve":
		return serve(ctx, w)
	case "nested":
		return nested(ctx)
	case "notify":
		return errors.Join(service.Notify("STATUS=doing well"), service.Ready(), service.Watchdog(ctx, nil))
	}
	<-ctx.Done()
	note("worker slot=%d cause=%q", w.Slot, context.Cause(ctx))
	return context.Cause(ctx)
}

// serve answers with slot and version on the shared socket.
func serve(ctx context.Context, w service.Worker) error {
	l, err := service.ListenerNamed("web")
	if err != nil {
		return err
	}
	return service.ServeHTTP(ctx, &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		time.Sleep(2 * time.Millisecond)
		fmt.Fprintln(rw, w.Slot, version, os.Getpid())
	})}, l)
}

// nested runs this program once more, as a service of its own.
func nested(ctx context.Context) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	inner := exec.CommandContext(ctx, own, "-n2", "--pidfile", os.Getenv("INNER"), "--", "wait")
	inner.Cancel = func() error { return inner.Process.Signal(os.Interrupt) }
	inner.Stderr = os.Stderr
	return inner.Run()
}

// note appends a line to the file of the test.
func note(format string, args ...any) {
	f, err := os.OpenFile(os.Getenv("NOTES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, format+"\n", args...)
}

func wd() string {
	dir, _ := os.Getwd()
	return dir
}
