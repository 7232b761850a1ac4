package harness

import (
	"cmp"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Options is how a program is run.
type Options struct {
	Program string   // instead of brood, for comparisons
	Args    []string // of the program
	Env     []string // beside PATH and HOME
	Dir     string
	// PIDFile is the pattern given by --pidfile; empty is one in a directory of
	// the run's own, NoPIDFile gives no flag at all.
	PIDFile   string
	NoPIDFile bool

	Stdin     *os.File // nil is /dev/null
	Stdout    *os.File // nil is collected
	Stderr    *os.File // nil is collected
	Terminal  *os.File // stdin, stdout and stderr at once
	Setsid    bool     // in a session of its own, whose terminal is stdin
	Extra     []*os.File
	OwnMounts bool // a mount namespace even as a child
	Stage     Stage
	Refusal   *Refusal // what the kernel does not do for the run
	// Patience is how long anything may take that is waited for, Fatal if
	// nothing is said. For what is much, even without others on the machine.
	Patience time.Duration

	// LeavesFiles says that PID files may be left, as when brood is killed.
	LeavesFiles bool
	// LeavesProcesses says that processes may be left, as under other inits.
	LeavesProcesses bool
}

// Brood is a running or ended brood.
type Brood struct {
	Mode
	PID     int // in the tests' namespace
	PIDFile string
	Stdout  *Lines
	Stderr  *Lines

	t        testing.TB
	patience time.Duration
	cmd      *exec.Cmd
	mark     string
	ended    chan struct{}
	state    *os.ProcessState
	opened   []*os.File
}

// Start runs brood with arguments.
func (m Mode) Start(t testing.TB, args ...string) *Brood {
	t.Helper()
	return m.StartWith(t, Options{Args: args})
}

// StartWith runs brood, or what the options say. When the test ends the run
// must have ended, and nothing may be left of it.
func (m Mode) StartWith(t testing.TB, o Options) *Brood {
	t.Helper()
	b := &Brood{Mode: m, t: t, PIDFile: o.PIDFile, mark: newMark(), patience: cmp.Or(o.Patience, Fatal), ended: make(chan struct{})}
	b.cmd = b.command(o)
	b.attach(o)
	if err := startOnOneThread(b.cmd); err != nil {
		t.Fatalf("starting %s: %v", b.cmd.Path, err)
	}
	b.PID = b.cmd.Process.Pid
	if o.Refusal != nil {
		go o.Refusal.serve()
		t.Cleanup(func() { <-o.Refusal.over })
	}
	for _, f := range b.opened {
		_ = f.Close()
	}
	go func() {
		_ = b.cmd.Wait()
		b.state = b.cmd.ProcessState
		close(b.ended)
	}()
	t.Cleanup(func() { b.checkNothingLeft(o) })
	return b
}

// command puts the command line together. The stage, which becomes brood, is
// only there if there is something to do.
func (b *Brood) command(o Options) *exec.Cmd {
	o.Stage.MountProc = b.PID1 && !o.Stage.HideProc && !o.Stage.KeepProc
	o.Stage.Keep = 3 + len(o.Extra)
	if o.Refusal != nil {
		o.Stage.Refusal = o.Stage.Keep
		o.Extra = append(slices.Clip(o.Extra), o.Refusal.theirs)
	}
	argv := []string{o.Program}
	if o.Program == "" {
		argv[0] = "brood"
		if !o.NoPIDFile {
			if b.PIDFile == "" {
				b.PIDFile = b.t.TempDir() + "/run/brood.pid"
			}
			argv = append(argv, "--pidfile", b.PIDFile)
		}
	}
	argv = append(argv, o.Args...)
	if o.Stage.Umask == 0 {
		o.Stage.Umask = -1
	}
	cmd := exec.Command(paths.stage, stageArguments(o, argv...)...)
	cmd.Dir = o.Dir
	cmd.Env = append([]string{"PATH=" + Path(), "HOME=/", markName + "=" + b.mark}, o.Env...)
	if o.Program == "" && !slices.Contains(o.Args, "--metrics-addr") {
		// All runs share the default port, and would warn of each other.
		cmd.Env = append(cmd.Env, "BROOD_METRICS_ADDR=none")
	}
	cmd.ExtraFiles = o.Extra
	cmd.SysProcAttr = b.attributes(o)
	return cmd
}

// attach connects the three standard descriptors.
func (b *Brood) attach(o Options) {
	if o.Terminal != nil {
		b.cmd.Stdin, b.cmd.Stdout, b.cmd.Stderr = o.Terminal, o.Terminal, o.Terminal
		return
	}
	if o.Stdin != nil {
		b.cmd.Stdin = o.Stdin
	}
	b.cmd.Stdout, b.cmd.Stderr = o.Stdout, o.Stderr
	if o.Stdout == nil {
		b.Stdout = b.collect(&b.cmd.Stdout)
	}
	if o.Stderr == nil {
		b.Stderr = b.collect(&b.cmd.Stderr)
	}
}

const markName = "TEST_MARK"

var marks atomic.Int64

// newMark identifies the processes of one run by their environment.
func newMark() string {
	return strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(marks.Add(1), 10)
}

// startOnOneThread starts processes on a thread that lives as long as the
// tests: the parent-death signal, which ends brood if the tests die, is that of
// the creating thread.
func startOnOneThread(cmd *exec.Cmd) error {
	starterOnce.Do(func() { go starter() })
	reply := make(chan error)
	starts <- startRequest{cmd, reply}
	return <-reply
}

const startOnOneThreadName = "github.com/brood-init/brood/test/internal/harness.starter"

type startRequest struct {
	cmd   *exec.Cmd
	reply chan error
}

var (
	starterOnce sync.Once
	starts      = make(chan startRequest)
)

func starter() {
	runtime.LockOSThread()
	for r := range starts {
		r.reply <- r.cmd.Start()
	}
}

// Signal sends a signal to brood from outside.
func (b *Brood) Signal(sig syscall.Signal) {
	b.t.Helper()
	if err := unix.Kill(b.PID, sig); err != nil {
		b.t.Errorf("sending %s to brood: %v", unix.SignalName(sig), err)
	}
}

// HasEnded reports whether brood has ended and was waited for.
func (b *Brood) HasEnded() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

// Wait waits for the end and returns the exit code as a shell has it.
func (b *Brood) Wait() int {
	b.t.Helper()
	if !Within(b.patience, b.HasEnded) {
		b.t.Fatalf("brood has not ended within %s; it said:\n%s", b.patience, b.said())
	}
	for _, lines := range []*Lines{b.Stdout, b.Stderr} {
		if lines != nil {
			lines.awaitEnd(b.t)
		}
	}
	ws := b.state.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// WantCode waits for the end and checks the code.
func (b *Brood) WantCode(t testing.TB, want int) {
	t.Helper()
	if got := b.Wait(); got != want {
		t.Errorf("brood ended with %d, want %d; it said:\n%s", got, want, b.said())
	}
}

// Stop sends SIGTERM and checks the code.
func (b *Brood) Stop(t testing.TB, want int) {
	t.Helper()
	b.Signal(syscall.SIGTERM)
	b.WantCode(t, want)
}

func (b *Brood) said() string {
	if b.Stderr == nil {
		return "(not collected)"
	}
	return b.Stderr.String()
}

// WaitLog waits for a line on stderr that has all the words.
func (b *Brood) WaitLog(words ...string) string {
	b.t.Helper()
	return b.Stderr.Await(b.t, words...)
}

// WaitRunning waits until n workers have been started.
func (b *Brood) WaitRunning(n int) {
	b.t.Helper()
	if !Within(b.patience, func() bool { return b.Stderr.Count(`msg="worker started"`) >= n || b.HasEnded() }) || b.HasEnded() {
		b.t.Fatalf("%d workers should have been started; brood said:\n%s", n, b.said())
	}
}

// logValue takes key's value out of a log line.
func logValue(line, key string) string {
	for word := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(word, key+"="); ok {
			return value
		}
	}
	return ""
}

// LogNumbers are the values of a key in all lines that have the words.
func (b *Brood) LogNumbers(key string, words ...string) []int {
	var all []int
	for _, line := range b.Stderr.All() {
		if !hasAll(line, words) {
			continue
		}
		if n, err := strconv.Atoi(logValue(line, key)); err == nil {
			all = append(all, n)
		}
	}
	return slices.Clip(all)
}
