package daemon_test

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestADaemonIsDetached(t *testing.T) {
	p := newPlace(t)
	if err := os.WriteFile(p.log, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(p.dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	start := p.command(t.Context(), "--start", "-n2", "--", "sh", "-c", "umask; pwd; env; echo error >&2; exec sleep 300")
	start.ExtraFiles = []*os.File{lock}
	start.Env = append(start.Env, "BROOD_DAEMON=restart") // the flag counts
	if out, err := start.CombinedOutput(); err != nil || string(out) != "brood: started, 2 workers\n" {
		t.Fatalf("%v: %s", err, out)
	}
	pid := p.pid("master")
	master, ok := harness.Look(pid)
	if !ok || master.Comm != "brood" {
		t.Errorf("the master is %+v", master)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("its session is %d, want its own; %v", sid, err)
	}
	if cwd := harness.Cwd(pid); cwd != "/" {
		t.Errorf("it is in %q", cwd)
	}
	fds := harness.FDs(pid)
	for fd, want := range map[int]string{0: os.DevNull, 1: p.log, 2: p.log} {
		if fds[fd] != want {
			t.Errorf("descriptor %d is %q, want %q", fd, fds[fd], want)
		}
	}
	for fd, path := range fds {
		if path == lock.Name() {
			t.Errorf("descriptor %d of the caller is still open", fd)
		}
	}
	// A worker that is alive for 10 ms is ready, whatever it has said.
	harness.Until(t, "both workers have spoken", func() bool { return strings.Count(harness.Content(p.log), "\nerror\n") == 2 })
	text := harness.Content(p.log)
	for _, want := range []string{"before\n", "\n0022\n", "\n" + p.dir + "\n", "\nerror\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	for _, leaked := range []string{"_BROOD_DAEMON", "BROOD_DAEMON", "BROOD_LOG_FILE"} {
		if strings.Contains(text, leaked+"=") {
			t.Errorf("a worker has %s in its environment", leaked)
		}
	}
	p.want(0, "stopped", "--stop")
	p.nothingRuns()
	p.want(0, "not running", "--stop")
}

func TestTheStartSaysHowItWent(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"not found":       {[]string{"--", "/no/such/program"}, 5, `cannot find "/no/such/program"`},
		"not executable":  {[]string{"--", "/etc/passwd"}, 5, "permission denied"},
		"gave up":         {[]string{"--ready=1m", "--max-restarts=1/1m", "--restart-backoff=1ms..2ms", "--", "worker", "exit", "9"}, 1, "code=9 reason=failed"},
		"prepare fails":   {[]string{"--prepare=false", "--", "sleep", "300"}, 1, "hook failed hook=prepare"},
		"never ready":     {[]string{"--ready=exec:false", "--ready-timeout=300ms", "--restart-backoff=1ms..2ms", "--", "sleep", "300"}, 1, "0 of 1 workers are ready after 300ms"},
		"a wrong setting": {[]string{"--proceses=1", "--", "sleep", "300"}, 2, "did you mean --processes?"},
		"a log file that cannot be": {
			[]string{"--log-file=/no/such/directory/log", "--", "sleep", "300"}, 1, "no such file or directory",
		},
		"a port that is taken": {[]string{"--listen=unix:///no/such/directory/socket", "--", "sleep", "300"}, 2, "--listen"},
		"no command":           {nil, 2, "without a command"},
		"two wishes":           {[]string{"--stop", "--", "sleep", "300"}, 2, "leave one of them out"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.want(test.code, test.says, append([]string{"--start", "-n1"}, test.args...)...)
			p.nothingRuns()
		})
	}
	t.Run("all work is done", func(t *testing.T) {
		p := newPlace(t)
		p.want(0, "started, and all workers have completed", "--start", "-n2", "--ready=1m", "--", "true")
		harness.Until(t, "it has ended", func() bool { return len(harness.Marked(p.mark)) == 0 })
		p.nothingRuns()
	})
	t.Run("no worker is wanted yet", func(t *testing.T) {
		p := newPlace(t)
		p.want(0, "started, 0 workers", "--start", "-n0", "--", "sleep", "300")
		p.want(0, "stopped", "--stop")
		p.nothingRuns()
	})
	t.Run("the user loses patience", func(t *testing.T) {
		p := newPlace(t)
		start := p.command(t.Context(), "--start", "-n1", "--ready=exec:false", "--", "sleep", "300")
		if err := start.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, "a worker runs", func() bool { return p.pid("1") != 0 })
		_ = start.Process.Signal(unix.SIGINT)
		_ = start.Wait()
		if code := start.ProcessState.ExitCode(); code != 1 {
			t.Errorf("code %d", code)
		}
		p.nothingRuns()
	})
}

func TestTheSettingIsForTheStartOnly(t *testing.T) {
	p := newPlace(t)
	file := filepath.Join(p.dir, "env")
	if err := os.WriteFile(file, []byte("BROOD_DAEMON=start\nBROOD_LOG_FILE="+p.log+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.want(0, "started", "--env-file", file, "-n1", "--", "sleep", "300")
	p.want(0, "runs already", "--env-file", file, "-n1", "--", "sleep", "300")
	before := p.pid("master")
	p.want(0, "started", "--daemon=restart", "--env-file", file, "-n1", "--", "sleep", "300")
	if after := p.pid("master"); after == before {
		t.Error("restart has not started another one")
	}
	p.want(0, "stopped", "--stop")
	p.nothingRuns()
	if got := p.run("--nodaemon", "--env-file", file, "-n1", "--", "true"); got.code != 0 || !strings.Contains(got.out, "msg=exiting") {
		t.Errorf("--nodaemon: %+v", got)
	}
	p.nothingRuns()
}

func TestPID1StaysInTheForeground(t *testing.T) {
	m := harness.Mode{PID1: true}
	m.Need(t)
	for _, args := range [][]string{{"--start"}, {"--daemon=restart"}} {
		b := m.Start(t, append(args, "--", "true")...)
		b.WantCode(t, 2)
		b.WaitLog("PID 1 of a container has to stay in the foreground")
	}
}

func TestAHundredStartsAtOnceStartOne(t *testing.T) {
	p := newPlace(t)
	var (
		all     sync.WaitGroup
		started atomic.Int64
		already atomic.Int64
		most    = make(chan struct{}, 100)
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range 100 {
		all.Go(func() {
			most <- struct{}{}
			out, err := p.command(ctx, "--start", "-n2", "--", "sleep", "300").CombinedOutput()
			switch {
			case err != nil:
				t.Errorf("%v: %s", err, out)
			case strings.Contains(string(out), "started"):
				started.Add(1)
			case strings.Contains(string(out), "runs already"):
				already.Add(1)
			}
		})
	}
	all.Wait()
	if started.Load() != 1 || already.Load() != 99 {
		t.Errorf("%d have started one, for %d one ran already", started.Load(), already.Load())
	}
	if left := harness.Marked(p.mark); len(left) != 3 {
		t.Errorf("%d processes run, want a master and two workers: %v", len(left), left)
	}
	p.want(0, "stopped", "--stop")
	p.nothingRuns()
}

// The second of two who ask must not hasten what the first has asked for.
func TestManyStopsAtOnceAreOne(t *testing.T) {
	for _, control := range []string{"", "--control=none"} {
		t.Run("control "+control, func(t *testing.T) {
			p := newPlace(t)
			heard := filepath.Join(p.dir, "heard")
			args := []string{"--start", "-n1", "--", "worker", "slow", heard, "1s"}
			stop := []string{"--stop"}
			if control != "" {
				args, stop = append([]string{control}, args...), append([]string{control}, stop...)
			}
			p.want(0, "started", args...)
			harness.File(t, heard)
			var all sync.WaitGroup
			for i := range 6 {
				all.Go(func() {
					// Signals that follow each other within 100 ms count once.
					<-time.After(time.Duration(i) * 150 * time.Millisecond)
					if out, err := p.command(t.Context(), stop...).CombinedOutput(); err != nil {
						t.Errorf("%v: %s", err, out)
					}
				})
			}
			all.Wait()
			p.nothingRuns()
			if text := harness.Content(heard); strings.Count(text, "term") != 1 || strings.Count(text, "cleaned") != 1 {
				t.Errorf("the worker has heard:\n%s", text)
			}
		})
	}
}

func TestAStopEndsWhatADeadMasterHasLeft(t *testing.T) {
	p := newPlace(t)
	stranger := bystander(t)
	p.want(0, "started", "--start", "-n2", "--ready=notify", "--", "worker", "notify", "READY=1", "5m")
	master := p.pid("master")
	// Two that have registered themselves and are no children of the master: one
	// honours SIGTERM, one does not.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := filepath.Join(p.dir, "registered")
	var helpers []*exec.Cmd
	for i, args := range [][]string{{"register", "7", ready, "1ms"}, {"register", "8", ready + "2", "5m"}} {
		helper := exec.CommandContext(ctx, "worker", args...)
		helper.Path = filepath.Join(filepath.Dir(harness.Binary()), "worker")
		helper.Err = nil
		helper.Env = append(p.environ, "BROOD_PIDFILE="+p.pidfile)
		if err := helper.Start(); err != nil {
			t.Fatal(err)
		}
		helpers = append(helpers, helper)
		harness.File(t, []string{ready, ready + "2"}[i])
	}
	p.put("9", stranger.Process.Pid, time.Hour) // the PID of one that was started later
	if err := harness.Kill(master, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, "the master is gone", func() bool { return !harness.Alive(master) })
	p.want(0, "stopped", "--stop", "--stop-timeout=2s")
	for i, helper := range helpers {
		_ = helper.Wait()
		if killed := helper.ProcessState.Sys().(interface{ Signaled() bool }).Signaled(); killed != (i == 1) {
			t.Errorf("helper %d: killed is %t", i, killed)
		}
	}
	p.nothingRuns()
}

func TestAMasterThatDoesNotEndIsKilled(t *testing.T) {
	p := newPlace(t)
	p.want(0, "started", "--start", "-n2", "--", "sleep", "300")
	if err := harness.Kill(p.pid("master"), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.want(0, "killing it", "--stop", "--stop-timeout=500ms")
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("it was killed after %s, before its time was over", took)
	}
	harness.Until(t, "the workers have followed", func() bool { return len(harness.Marked(p.mark)) == 0 })
	p.nothingRuns()
}

// Whatever happens, and in whatever order, at the end nothing is left, and
// nobody else was touched.
func TestNoSequenceLeavesAnything(t *testing.T) {
	p := newPlace(t)
	stranger := bystander(t).Process.Pid
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	service := []string{"-n2", "--stop-timeout=5s", "--", "sleep", "300"}
	for i := range 100 {
		step := []string{"start", "start", "stop", "restart", "kill the master", "kill a worker", "kill a start", "a stale file", "a recycled PID", "nonsense", "a stale master"}[random.IntN(11)]
		switch step {
		case "start", "restart":
			p.want(0, "", append([]string{"--daemon", step}, service...)...)
			if n := len(harness.Marked(p.mark)); n != 3 && n != 2 { // a worker may just be replaced
				t.Errorf("after step %d %d processes run", i, n)
			}
		case "stop":
			p.want(0, "", "--stop")
			if n := len(harness.Marked(p.mark)); n != 0 {
				t.Errorf("after step %d %d processes run", i, n)
			}
		case "kill the master", "kill a worker":
			if pid := p.pid(map[string]string{"kill the master": "master", "kill a worker": "1"}[step]); pid > 1 && pid != stranger && harness.Alive(pid) {
				_ = harness.Kill(pid, unix.SIGKILL)
				harness.Until(t, "it is gone", func() bool { return !harness.Alive(pid) })
			}
		case "kill a start":
			start := p.command(t.Context(), append([]string{"--start"}, service...)...)
			if err := start.Start(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Duration(random.IntN(30)) * time.Millisecond)
			_ = start.Process.Kill()
			_ = start.Wait()
			// The daemon goes on, or finds that there is one.
			harness.Until(t, "its daemon runs, or none", func() bool {
				n := len(harness.Marked(p.mark))
				return n == 0 || n == 3
			})
		case "a stale file":
			p.put(strconv.Itoa(20+i), 4_000_000, 0)
		case "a recycled PID":
			p.put(strconv.Itoa(20+i), stranger, time.Hour)
		case "nonsense":
			if err := os.MkdirAll(filepath.Dir(p.pidfile), 0o755); err == nil {
				_ = os.WriteFile(strings.TrimSuffix(p.pidfile, ".pid")+".1.pid.bak", []byte(strconv.Itoa(stranger)), 0o644)
			}
		case "a stale master":
			if !harness.Alive(p.pid("master")) {
				p.put("master", stranger, time.Hour)
			}
		}
		if t.Failed() {
			t.Fatalf("that was step %d, %s", i, step)
		}
	}
	p.want(0, "", "--stop")
	_ = os.Remove(strings.TrimSuffix(p.pidfile, ".pid") + ".1.pid.bak") // no PID file of ours, and untouched
	p.nothingRuns()
}

// A lock without a process of this namespace, as a container holds it on a
// shared volume, is nobody that could be stopped, or waited for for ever.
func TestALockOfSomebodyElsewhereIsAnErrorInTheEnd(t *testing.T) {
	p := newPlace(t)
	p.put("master", 4_000_000, 0)
	f, err := os.OpenFile(p.file("master"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p.want(1, "web.master.pid", "--start", "-n1", "--ready-timeout=300ms", "--", "sleep", "300")
	stop := p.command(t.Context(), "--stop")
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Never(t, 300*time.Millisecond, "the stop ends", func() bool { return !harness.Alive(stop.Process.Pid) })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stop.Wait(); err != nil {
		t.Error(err)
	}
	p.nothingRuns()
}

// The PID files of workers of another user are in that user's directory, and
// the master's file and sockets are not.
func TestADaemonWithWorkersOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		harness.Missing(t, "only root can start workers as another user")
	}
	p := newPlace(t)
	for dir := p.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	service := []string{"--user=65534:65534", "-n2", "--", "sleep", "300"}
	p.want(0, "started", append([]string{"--start"}, service...)...)
	p.want(0, "runs already", append([]string{"--start"}, service...)...)
	p.want(0, "stopped", "--stop", "--user=65534:65534")
	p.nothingRuns()
	p.want(0, "started", append([]string{"--start"}, service...)...)
	master, err := strconv.Atoi(strings.TrimSpace(harness.Content(filepath.Join(p.dir, "run-master", "web.master.pid"))))
	if err != nil {
		t.Fatal(err)
	}
	_ = harness.Kill(master, unix.SIGKILL)
	harness.Until(t, "the master is gone", func() bool { return !harness.Alive(master) })
	p.want(0, "", "--stop", "--user=65534:65534")
	p.nothingRuns()
	if left, _ := os.ReadDir(filepath.Join(p.dir, "run-master")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}
