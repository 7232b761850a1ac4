package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Codes of workers that could not do their work.
const (
	workerTooLong = 97 // nobody ended it
	workerTrouble = 98
)

// tooLong ends a worker that a test has lost.
const tooLong = 5 * time.Minute

// worker is a helper program: "worker NAME ARGS..." on a command line.
type worker struct {
	usage string
	run   func(args []string) (code int, err error)
}

func workers() map[string]worker {
	return map[string]worker{
		"exit":     {"CODE: end with it", workExit},
		"wait":     {": until a signal ends it", workWait},
		"ignore":   {"FILE SIGNAL...: ignore them and wait; FILE gets a line when they are", workIgnore},
		"report":   {"FILE [SIGNAL...]: a line in FILE for each signal; those given (TERM) end it with 0", workReport},
		"slow":     {"FILE DURATION: a line in FILE for each stop signal; after DURATION, one more, and it ends with 0", workSlow},
		"register": {"I FILE DURATION: slow, after putting its PID into the PID file with number I", workRegister},
		"blocked":  {"PROGRAM ARGS...: become it with all signals blocked", workBlocked},
		"hold":     {"NAME FILE: listen on an abstract socket of that name until a signal; FILE gets a line when it does", workHold},
		"read":     {"FILE GATE: a line with its PID in FILE; once there is a GATE, read a line and repeat it", workRead},
		"notify":   {"TEXT DURATION: say TEXT to NOTIFY_SOCKET, wait until it is heard and for DURATION, and end with 0", workNotify},
		"serve":    {"DELAY: answer HTTP on descriptor 3, DELAY after each request, with the slot and the PID; the stop signal lets it finish", workServe},
		"flood":    {"BYTES: write so many to stdout and end", workFlood},
	}
}

func runWorker(args []string) int {
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "worker: want what to do")
		return workerTrouble
	}
	w, ok := workers()[args[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "worker: nobody knows how to %q\n", args[0])
		return workerTrouble
	}
	code, err := w.run(args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "worker %s %s: %v\n", args[0], w.usage, err)
		return workerTrouble
	}
	return code
}

// line appends a line to a file in one write, so that workers can share it.
func line(path, format string, args ...any) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(fmt.Sprintf(format, args...) + "\n")
	return err
}

func slotName() string {
	if slot := os.Getenv("BROOD_SLOT"); slot != "" {
		return slot
	}
	return "-"
}

func workExit(args []string) (int, error) { return strconv.Atoi(args[0]) }

func workWait([]string) (int, error) {
	<-time.After(tooLong)
	return workerTooLong, nil
}

func workIgnore(args []string) (int, error) {
	for _, name := range args[1:] {
		sig, err := signalNamed(name)
		if err != nil {
			return 0, err
		}
		signal.Ignore(sig)
	}
	if err := line(args[0], "%s ignores", slotName()); err != nil {
		return 0, err
	}
	return workWait(nil)
}

func workReport(args []string) (int, error) {
	file, ends := args[0], map[os.Signal]bool{}
	for _, name := range args[1:] {
		sig, err := signalNamed(name)
		if err != nil {
			return 0, err
		}
		ends[sig] = true
	}
	if len(ends) == 0 {
		ends[syscall.SIGTERM] = true
	}
	arrived := make(chan os.Signal, 1024)
	for n := syscall.Signal(1); n <= 64; n++ {
		// The runtime sends itself URG all the time.
		if n != syscall.SIGURG && n != syscall.SIGCHLD {
			signal.Notify(arrived, n)
		}
	}
	if err := line(file, "%s ready", slotName()); err != nil {
		return 0, err
	}
	late := time.After(tooLong)
	for {
		select {
		case sig := <-arrived:
			if err := line(file, "%s %d", slotName(), sig); err != nil {
				return 0, err
			}
			if ends[sig] {
				return 0, nil
			}
		case <-late:
			return workerTooLong, nil
		}
	}
}

func workSlow(args []string) (int, error) {
	takes, err := time.ParseDuration(args[1])
	if err != nil {
		return 0, err
	}
	term := make(chan os.Signal, 16)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	if err := line(args[0], "%d ready", os.Getpid()); err != nil {
		return 0, err
	}
	late := time.After(tooLong)
	var done <-chan time.Time
	for {
		select {
		case <-term:
			if err := line(args[0], "%d term", os.Getpid()); err != nil {
				return 0, err
			}
			if done == nil {
				done = time.After(takes)
			}
		case <-done:
			return 0, line(args[0], "%d cleaned", os.Getpid())
		case <-late:
			return workerTooLong, nil
		}
	}
}

func workRegister(args []string) (int, error) {
	pattern := os.Getenv("BROOD_PIDFILE")
	ext := filepath.Ext(pattern)
	path := strings.TrimSuffix(pattern, ext) + "." + args[0] + ext
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return 0, err
	}
	return workSlow(args[1:])
}

func workBlocked(args []string) (int, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 0, err
	}
	runtime.LockOSThread() // exec keeps the mask of the thread that calls it
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return 0, err
	}
	return 0, syscall.Exec(path, args, os.Environ())
}

func workHold(args []string) (int, error) {
	l, err := net.Listen("unix", "@brood-test-"+args[0])
	if err != nil {
		_ = line(args[1], "busy")
		return 0, err
	}
	defer l.Close()
	if err := line(args[1], "%d holds", os.Getpid()); err != nil {
		return 0, err
	}
	return workWait(nil)
}

func workRead(args []string) (int, error) {
	if err := line(args[0], "%d", os.Getpid()); err != nil {
		return 0, err
	}
	for {
		if _, err := os.Stat(args[1]); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	text, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return 0, err
	}
	fmt.Print("got-" + text)
	return 0, nil
}

func workNotify(args []string) (int, error) {
	lasts, err := time.ParseDuration(args[1])
	if err != nil {
		return 0, err
	}
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(args[0])); err != nil {
		return 0, err
	}
	// Who has ended is nobody's process, and is not heard.
	if err := awaitHeard(conn.(*net.UnixConn)); err != nil {
		return 0, err
	}
	time.Sleep(lasts)
	return 0, nil
}

// awaitHeard waits until all is read that was said: then the reader closes the
// descriptor that comes with this message.
func awaitHeard(conn *net.UnixConn) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) (done bool) {
		sent = unix.Sendmsg(int(fd), []byte("BARRIER=1"), unix.UnixRights(int(w.Fd())), nil, 0)
		return !errors.Is(sent, unix.EAGAIN)
	})
	_ = w.Close()
	if err := errors.Join(err, sent); err != nil {
		return err
	}
	_ = r.SetReadDeadline(time.Now().Add(Fatal))
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("not heard: %w", err)
	}
	return nil
}

func workServe(args []string) (int, error) {
	delay, err := time.ParseDuration(args[0])
	if err != nil {
		return 0, err
	}
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0, fmt.Errorf("LISTEN_PID=%s, and this is %d", os.Getenv("LISTEN_PID"), os.Getpid())
	}
	l, err := net.FileListener(os.NewFile(3, "shared"))
	if err != nil {
		return 0, err
	}
	// Not net/http: after Shutdown its server closes connections whose request
	// it had not begun to read, and what is measured here is brood.
	var clients sync.WaitGroup
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		_ = l.Close()
	}()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			clients.Wait()
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		clients.Go(func() { answerOnce(conn, delay) })
	}
}

// answerOnce reads one request and says who answers.
func answerOnce(conn net.Conn, delay time.Duration) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if request, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		fmt.Fprintln(os.Stderr, "worker serve:", err)
	} else {
		time.Sleep(delay)
		fmt.Fprintf(conn, "%s 200 OK\r\nConnection: close\r\n\r\n%s %d", request.Proto, slotName(), os.Getpid())
	}
}

func workFlood(args []string) (int, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	text := []byte(strings.Repeat("x", 1023) + "\n")
	for ; n > 0; n -= len(text) {
		if _, err := os.Stdout.Write(text); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// signalNamed reads TERM or a number.
func signalNamed(name string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil {
		return syscall.Signal(n), nil
	}
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("there is no signal %q", name)
}

// SignalNamed reads a signal's name without SIG, or its number.
func SignalNamed(name string) (syscall.Signal, error) { return signalNamed(name) }
