package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// running is the brood on show.
type running struct {
	command  *exec.Cmd
	ended    chan struct{} // closed when it has
	url, dir string
	terminal bool
}

// start runs the command line, which serves port and keeps PID files in dir.
func start(dir, port string, line ...string) (*running, error) {
	_, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	b := &running{
		command:  exec.Command(line[0], line[1:]...),
		ended:    make(chan struct{}),
		url:      "http://127.0.0.1:" + port + "/",
		dir:      dir,
		terminal: err == nil,
	}
	b.command.Env = append(os.Environ(), "PORT="+port)
	b.command.Stdin, b.command.Stdout, b.command.Stderr = os.Stdin, os.Stdout, os.Stdout
	// What a script runs in the background ignores SIGINT, and so would brood. A
	// signal that is caught here is back at its default in a child.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT)
	if b.terminal {
		// Ctrl-C is for brood alone: not for make, nor for this program.
		b.command.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: int(os.Stdin.Fd())}
	}
	fmt.Printf("  $ PORT=%s %s\n", port, strings.Join(line, " "))
	if err := b.command.Start(); err != nil {
		return nil, err
	}
	if b.terminal {
		signal.Ignore(syscall.SIGTTOU) // this program writes from the background now
	}
	go func() {
		defer close(b.ended)
		_ = b.command.Wait() // ProcessState knows
	}()
	return b, nil
}

// end stops a brood that still runs, and tells how it has ended. Anything but
// exit code 0 is an error.
func (b *running) end() error {
	if !b.hasEnded() {
		if err := b.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		b.wait()
	}
	left, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	state := b.command.ProcessState
	title(fmt.Sprintf("The end: exit code %d, %d PID files left", state.ExitCode(), len(left)))
	if !state.Success() {
		return fmt.Errorf("brood has ended with %v", state)
	}
	return nil
}

func (b *running) interrupt() error {
	fmt.Printf("  $ kill -INT %d\n", b.command.Process.Pid)
	if err := b.command.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	b.wait()
	return nil
}

func (b *running) wait() { <-b.ended }

func (b *running) hasEnded() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

// pause lets brood's lines arrive, and whoever watches catch up.
func (b *running) pause() {
	long := 200 * time.Millisecond
	if b.terminal {
		long = time.Second
	}
	select {
	case <-time.After(long):
	case <-b.ended:
	}
}

// within tries until it is done, the time is over or brood has ended. Only the
// last error counts.
func (b *running) within(limit time.Duration, try func() (done bool, err error)) error {
	for deadline := time.Now().Add(limit); ; {
		done, err := try()
		switch {
		case done, b.hasEnded():
			return nil
		case time.Now().After(deadline):
			return errors.Join(fmt.Errorf("this has not happened within %s", limit), err)
		case err != nil:
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// answer is what a worker says of itself.
type answer struct{ slot, pid, incarnation string }

func (b *running) print(a answer) {
	fmt.Printf("  GET %s -> slot=%s pid=%s incarnation=%s\n", b.url, a.slot, a.pid, a.incarnation)
}

// get asks over a new connection: one that is kept stays with its worker.
func (b *running) get() (answer, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	response, err := client.Get(b.url)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return answer{}, err
	}
	words := make(map[string]string)
	for word := range strings.FieldsSeq(string(body)) {
		key, value, _ := strings.Cut(word, "=")
		words[key] = value
	}
	return answer{words["slot"], words["pid"], words["incarnation"]}, nil
}

func (b *running) list() error {
	files, err := filepath.Glob(filepath.Join(b.dir, "*.pid"))
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Printf("  %s: %s", file, content)
	}
	return nil
}

func (b *running) workerPID(slot int) (string, error) {
	content, err := os.ReadFile(filepath.Join(b.dir, fmt.Sprintf("web.%d.pid", slot)))
	return strings.TrimSpace(string(content)), err
}

func kill(pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	return syscall.Kill(n, syscall.SIGKILL)
}

// freePort is one that is free now, and hardly taken by others in a moment.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
