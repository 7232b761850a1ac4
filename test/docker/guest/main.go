// Guest is the service that the containers of these tests run: a static
// program, because their images hold nothing else. What it does and what
// befalls it, it says on stdout, one line each.
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

// tooLong ends a guest that a test has lost.
const (
	tooLong     = 5 * time.Minute
	codeTooLong = 97
	codeTrouble = 98
)

// rtmin3 is what systemd's containers are stopped with.
const rtmin3 = syscall.Signal(34 + 3)

var acts = map[string]struct {
	usage string
	run   func(args []string) (code int, err error)
}{
	"exit":    {"CODE: end with it", exit},
	"die":     {"SIGNAL: end by it", die},
	"serve":   {"[DURATION]: say which signals arrive; after a stop signal and DURATION, end with 0", serve},
	"quit":    {"CODE: serve, but in slot 1 end with CODE at USR1", quit},
	"ignore":  {": ignore all stop signals", ignore},
	"hog":     {"MIB: in the first incarnation of slot 1 take so much memory; else serve", hog},
	"take":    {"MIB: take so much memory and serve", take},
	"doom":    {"MIB: make this process's parent the first one to be killed for lack of memory, and take so much", doom},
	"ping":    {": be ready and alive for sd_notify(3), and serve", ping},
	"parent":  {"MIB CODE: in the first incarnation of slot 1 let a child take so much memory, and end with CODE when it was killed; else serve", parent},
	"orphans": {"N: leave N short-lived orphans behind and serve", orphans},
	"forget":  {"N: start N short-lived processes and end at once", forget},
	"brief":   {": end after a moment", brief},
	"settle":  {"N: end with 0 in the first N starts of the container, and serve from then on", settle},
	"flood":   {"MIB: write so much, and serve", flood},
	"say":     {"WORD...: say it and end", say},
	"ps":      {": list all processes: PID, parent, state, command line", ps},
	"self":    {": who this process is for the kernel", self},
	"get":     {"URL: print the page", get},
	"forbid":  {": say what the kernel answers to calls that no service of ours needs, and serve", forbid},
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "guest: want what to do")
		os.Exit(codeTrouble)
	}
	act, ok := acts[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "guest: nobody knows how to %q\n", os.Args[1])
		os.Exit(codeTrouble)
	}
	code, err := act.run(os.Args[2:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest %s %s: %v\n", os.Args[1], act.usage, err)
		os.Exit(codeTrouble)
	}
	os.Exit(code)
}

// tell writes a line in one piece, with the slot before it.
func tell(format string, args ...any) {
	slot := os.Getenv("BROOD_SLOT")
	if slot == "" {
		slot = "-"
	}
	fmt.Printf("slot="+slot+" "+format+"\n", args...)
}

func exit(args []string) (int, error) { return strconv.Atoi(args[0]) }

func die(args []string) (int, error) {
	if err := unix.Kill(os.Getpid(), unix.SignalNum("SIG"+args[0])); err != nil {
		return 0, err
	}
	return wait()
}

func wait() (int, error) {
	<-time.After(tooLong)
	return codeTooLong, nil
}

func serve(args []string) (int, error) {
	drain := time.Duration(0)
	if len(args) > 0 {
		var err error
		if drain, err = time.ParseDuration(args[0]); err != nil {
			return 0, err
		}
	}
	return report(drain, nil)
}

func quit(args []string) (int, error) {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	return report(0, &code)
}

// report says which signals arrive. With quitCode, slot 1 ends with it at USR1.
func report(drain time.Duration, quitCode *int) (int, error) {
	arrived := make(chan os.Signal, 1024)
	for n := syscall.Signal(1); n <= 64; n++ {
		// The runtime sends itself URG all the time.
		if n != syscall.SIGURG && n != syscall.SIGCHLD {
			signal.Notify(arrived, n)
		}
	}
	tell("ready")
	late := time.After(tooLong)
	var drained <-chan time.Time
	for {
		select {
		case s := <-arrived:
			sig := s.(syscall.Signal)
			tell("got %s", name(sig))
			switch {
			case sig == syscall.SIGUSR1 && quitCode != nil && os.Getenv("BROOD_SLOT") == "1":
				return *quitCode, nil
			case drained == nil && isStop(sig):
				drained = time.After(drain)
			}
		case <-drained:
			tell("drained")
			return 0, nil
		case <-late:
			return codeTooLong, nil
		}
	}
}

func name(sig syscall.Signal) string {
	if sig == rtmin3 {
		return "RTMIN+3"
	}
	return strings.TrimPrefix(unix.SignalName(sig), "SIG")
}

func isStop(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, rtmin3:
		return true
	}
	return false
}

func ignore([]string) (int, error) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	tell("ready")
	return wait()
}

func hog(args []string) (int, error) {
	if !isFirst() {
		return serve(nil)
	}
	return take(args)
}

// isFirst reports whether this is the first incarnation of slot 1.
func isFirst() bool {
	return os.Getenv("BROOD_SLOT") == "1" && os.Getenv("BROOD_INCARNATION") == "1"
}

func take(args []string) (int, error) {
	mib, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	var held [][]byte
	for range mib {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		held = append(held, block)
	}
	tell("holds %d MiB", len(held))
	return serve(nil)
}

func doom(args []string) (int, error) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", os.Getppid()), []byte("1000"), 0o644); err != nil {
		return 0, err
	}
	return take(args)
}

func ping([]string) (int, error) {
	socket, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return 0, err
	}
	if _, err := socket.Write([]byte("READY=1")); err != nil {
		return 0, err
	}
	go func() {
		for range time.Tick(200 * time.Millisecond) {
			_, _ = socket.Write([]byte("WATCHDOG=1"))
		}
	}()
	return serve(nil)
}

func parent(args []string) (int, error) {
	if !isFirst() {
		return serve(nil)
	}
	code, err := strconv.Atoi(args[1])
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	child := exec.Command(self, "take", args[0])
	child.Stdout = os.Stdout
	err = child.Run()
	fmt.Fprintf(os.Stderr, "guest: my child has ended: %v\n", err)
	return code, nil
}

func orphans(args []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	forgetful := exec.Command(self, "forget", args[0])
	forgetful.Stdout = os.Stdout
	if err := forgetful.Run(); err != nil {
		return 0, err
	}
	return serve(nil)
}

func forget(args []string) (int, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	for range n {
		orphan := exec.Command(self, "brief")
		orphan.Stdout = os.Stdout
		if err := orphan.Start(); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// brief outlives its parent, and says who has adopted it.
// settle counts in a file, which a restart of the container keeps.
func settle(args []string) (int, error) {
	starts, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	counted, err := os.OpenFile("/starts", os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	defer counted.Close()
	info, err := counted.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() >= int64(starts) {
		return serve(nil)
	}
	_, err = counted.WriteString("x")
	return 0, err
}

func brief([]string) (int, error) {
	<-time.After(500 * time.Millisecond)
	tell("orphan of %d ends", os.Getppid())
	return 0, nil
}

func flood(args []string) (int, error) {
	mib, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range mib << 10 {
		if _, err := os.Stdout.Write(line); err != nil {
			return 0, err
		}
	}
	return serve(nil)
}

func say(args []string) (int, error) {
	tell("%s", strings.Join(args, " "))
	return 0, nil
}

func ps([]string) (int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, _, _ := strings.Cut(string(stat), " ")
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		words, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		command := strings.TrimSpace(strings.ReplaceAll(string(words), "\x00", " "))
		fmt.Printf("pid=%s ppid=%s state=%s command=%s\n", pid, fields[1], fields[0], command)
	}
	return 0, nil
}

func self([]string) (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "Uid", "Gid", "CapEff", "NoNewPrivs", "Cpus_allowed_list":
			tell("%s=%s", key, strings.Fields(value)[0])
		}
	}
	return serve(nil)
}

func get(args []string) (int, error) {
	resp, err := http.Get(args[0])
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, errors.New(resp.Status)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return 0, err
}

// forbid makes calls that need no right, so that a refusal is that of a filter.
func forbid([]string) (int, error) {
	_, _, errno := unix.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	tell("personality: %s", errorName(errno))
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if err == nil {
		_ = unix.Close(fd)
	}
	errors.As(err, &errno)
	tell("netlink: %s", errorName(errno))
	_, _, errno = unix.Syscall(unix.SYS_CLONE3, 0, 0, 0)
	tell("clone3: %s", errorName(errno))
	return serve(nil)
}

func errorName(errno unix.Errno) string {
	if errno == 0 {
		return "done"
	}
	return unix.ErrnoName(errno)
}
