package output_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/output"
)

// fatalWait is how long anything may take before a test fails; it is never slept.
const fatalWait = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is an output that takes everything.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(fatalWait); !holds(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// run runs a shell as a worker and does not wait for what it leaves behind.
func run(t *testing.T, m *output.Mux, slot int, script string) {
	t.Helper()
	stdout, stderr, err := m.Open(slot, 1)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stdout.Close()
	_ = stderr.Close()
	_ = cmd.Wait()
}

func TestStdoutStaysStdoutAndStderrStderr(t *testing.T) {
	var stdout, stderr buffer
	m := output.New(output.Options{Stdout: &stdout, Stderr: &stderr})
	run(t, m, 3, `echo one; echo two >&2; printf end`)
	m.Close(fatalWait)
	if got := stdout.String(); got != "[3] one\n[3] end\n" {
		t.Errorf("stdout %q", got)
	}
	if got := stderr.String(); got != "[3] two\n" {
		t.Errorf("stderr %q", got)
	}
	if lines, n := m.Dropped(); lines != 0 || n != 0 {
		t.Errorf("%d lines, %d bytes dropped", lines, n)
	}
	if _, _, err := m.Open(4, 1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestJSONIsOneObjectPerLine(t *testing.T) {
	var out buffer
	m := output.New(output.Options{Mode: output.JSON, Stdout: &out, Stderr: &out})
	began := time.Now()
	run(t, m, 7, `printf 'a "b"\\\t\303\274\377\n'`)
	m.Close(fatalWait)
	got := map[string]any{}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"]))
	if err != nil || at.Before(began) || at.After(time.Now()) {
		t.Errorf("time %v, %v", got["time"], err)
	}
	delete(got, "time")
	if want := "map[line:a \"b\"\\\tü\ufffd slot:7 stream:stdout]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// Many workers write lines of all lengths through both streams into one pipe:
// every line arrives whole, and each worker's in order.
func TestLinesOfManyWorkersDoNotMix(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	m := output.New(output.Options{Stdout: write, Stderr: write, Patience: fatalWait})
	const workers, lines = 40, 300
	var all sync.WaitGroup
	for slot := 1; slot <= workers; slot++ {
		stdout, stderr, err := m.Open(slot, 1)
		if err != nil {
			t.Fatal(err)
		}
		for name, stream := range map[string]*os.File{"out": stdout, "err": stderr} {
			all.Go(func() {
				defer func() { _ = stream.Close() }()
				for i := range lines {
					fill := strings.Repeat("x", i*i%20000)
					if _, err := fmt.Fprintf(stream, "%s %d %s.\n", name, i, fill); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		m.Close(fatalWait)
		_ = write.Close()
		close(ended)
	}()
	next := map[string]int{}
	text := bufio.NewReader(read)
	for {
		line, err := text.ReadString('\n')
		if err != nil {
			break
		}
		words := strings.Fields(line) // [slot], stream, number, fill
		if len(words) != 4 {
			t.Fatalf("%.80q", line)
		}
		key, fill := words[0]+words[1], words[3]
		number, err := strconv.Atoi(words[2])
		if err != nil || number != next[key] || len(fill) != number*number%20000+1 {
			t.Fatalf("%s: line %d with %d bytes, want line %d", key, number, len(fill), next[key])
		}
		next[key]++
	}
	<-ended
	_ = read.Close()
	for key, n := range next {
		if n != lines {
			t.Errorf("%s: %d lines", key, n)
		}
	}
	if len(next) != 2*workers {
		t.Errorf("%d streams", len(next))
	}
}

func TestAPromptDoesNotWaitForItsNewline(t *testing.T) {
	var out buffer
	m := output.New(output.Options{Stdout: &out, Stderr: &out, Prompt: 20 * time.Millisecond})
	stdout, stderr, err := m.Open(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(stdout, "Continue? ")
	eventually(t, "the prompt is shown", func() bool { return out.String() == "[1] Continue? \n" })
	_, _ = io.WriteString(stdout, "yes\nnext\n")
	_, _ = stdout.Close(), stderr.Close()
	m.Close(fatalWait)
	if got, want := out.String(), "[1] Continue? \n[1+] yes\n[1] next\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatAWorkerLeavesBehindIsReadToo(t *testing.T) {
	var out buffer
	m := output.New(output.Options{Stdout: &out, Stderr: &out})
	speak, leave := filepath.Join(t.TempDir(), "fifo"), filepath.Join(t.TempDir(), "fifo")
	for _, path := range []string{speak, leave} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(path string) {
		if err := os.WriteFile(path, []byte("go\n"), 0); err != nil {
			t.Error(err)
		}
	}
	// The orphan speaks when the worker has long ended, and then holds on.
	run(t, m, 1, `(read x < `+speak+`; echo late; read x < `+leave+`) & echo early`)
	tell(speak)
	eventually(t, "the orphan is heard", func() bool { return out.String() == "[1] early\n[1] late\n" })
	began := time.Now()
	m.Close(200 * time.Millisecond)
	if took := time.Since(began); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("an orphan that holds the pipe delayed the end by %v", took)
	}
	tell(leave)
}

// Nobody reads. The workers write far more than all queues hold, and end.
func TestAReaderThatHangsNeverBlocksAWorkerForEver(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	m := output.New(output.Options{Stdout: write, Stderr: write, Queue: 1 << 20, Patience: 20 * time.Millisecond})
	line := strings.Repeat("x", 99) + "\n"
	const workers, lines = 8, 20_000
	began := time.Now()
	var all sync.WaitGroup
	for slot := 1; slot <= workers; slot++ {
		stdout, stderr, err := m.Open(slot, 1)
		if err != nil {
			t.Fatal(err)
		}
		_ = stderr.Close()
		all.Go(func() {
			for range lines {
				_, _ = io.WriteString(stdout, line)
			}
			_ = stdout.Close()
		})
	}
	all.Wait()
	if took := time.Since(began); took > fatalWait/2 {
		t.Errorf("the workers took %v", took)
	}
	// The reader is back: what was kept, and what was dropped, add up.
	kept, told := make(chan int, 1), make(chan int, 1)
	go func() {
		k, d := 0, 0
		for text := bufio.NewScanner(read); text.Scan(); {
			var slot, n int
			if _, err := fmt.Sscanf(text.Text(), "[%d] brood: %d line", &slot, &n); err == nil {
				d += n
			} else {
				k++
			}
		}
		kept <- k
		told <- d
	}()
	m.Close(fatalWait)
	_ = write.Close()
	k, d := <-kept, <-told
	_ = read.Close()
	dropped, size := m.Dropped()
	if k+d != workers*lines || int(dropped) != d || d == 0 || size == 0 {
		t.Errorf("%d lines kept and %d told as dropped of %d; counted are %d of %d bytes", k, d, workers*lines, dropped, size)
	}
}

func TestAReaderThatIsGoneBlocksNobody(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	m := output.New(output.Options{Stdout: write, Stderr: write})
	run(t, m, 1, `yes | head -n 100000`)
	run(t, m, 1, `echo last words >&2`)
	if got := m.LastWords(1, 1, fatalWait).Line; got != "last words" {
		t.Errorf("last line %q", got)
	}
	m.Close(fatalWait)
	_ = write.Close()
	if lines, _ := m.Dropped(); lines != 100_001 {
		t.Errorf("%d lines are counted as dropped", lines)
	}
}

func TestAnOutputThatOthersMadeNonBlockingIsWaitedFor(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	read, write := os.NewFile(uintptr(fds[0]), ""), os.NewFile(uintptr(fds[1]), "")
	m := output.New(output.Options{Stdout: write, Stderr: write, Patience: fatalWait})
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 1)
	go func() {
		b, _ := io.ReadAll(read)
		got <- bytes.Count(b, []byte("[1] y\n"))
	}()
	run(t, m, 1, `yes | head -n 200000`)
	m.Close(fatalWait)
	_ = write.Close()
	if n := <-got; n != 200_000 {
		t.Errorf("%d lines arrived", n)
	}
	_ = read.Close()
}

// The last line is known as soon as the worker's end is.
func TestLastWordsAreReadBeforeTheyAreTold(t *testing.T) {
	m := output.New(output.Options{Stdout: io.Discard, Stderr: io.Discard})
	defer m.Close(fatalWait)
	for i := range 200 {
		stdout, stderr, err := m.Open(1, i)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("panic: %d", i)
		fmt.Fprintf(stderr, "starting\n%s\n\n", want)
		got := m.LastWords(1, i, fatalWait)
		if got.Line != want || strings.Join(got.Lines, "|") != "starting|"+want {
			t.Fatalf("%q, want %q", got, want)
		}
		_, _ = stdout.Close(), stderr.Close()
		if again := m.LastWords(1, i, 0); again.Lines != nil {
			t.Fatalf("they are kept: %q", again)
		}
	}
	if got := m.LastWords(2, 1, 0); got.Line != "" || got.Lines != nil {
		t.Errorf("an unknown slot said %q", got)
	}
}

func TestLastWordsNeedNoNewline(t *testing.T) {
	m := output.New(output.Options{Stdout: io.Discard, Stderr: io.Discard, Prompt: fatalWait})
	defer m.Close(fatalWait)
	for i := range 100 {
		run(t, m, 1, `printf 'last words' >&2`)
		if got := m.LastWords(1, 1, fatalWait); got.Line != "last words" {
			t.Fatalf("run %d: %q", i, got)
		}
	}
}

func TestWorkersGetOrdinaryPipes(t *testing.T) {
	m := output.New(output.Options{Stdout: io.Discard, Stderr: io.Discard})
	defer m.Close(fatalWait)
	before := openFiles(t)
	stdout, stderr, err := m.Open(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{stdout, stderr} {
		status, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		flags, err2 := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err != nil || err2 != nil || status&unix.O_NONBLOCK != 0 || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("status %#x, flags %#x, %v, %v", status, flags, err, err2)
		}
		_ = f.Close()
	}
	eventually(t, "all descriptors are closed", func() bool { return openFiles(t) == before })
}

// A thousand workers that have all said something and are silent now cost
// goroutines, but no threads and no buffers.
func TestSilentWorkersCostLittle(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 5000 {
		t.Skipf("only %d files may be open", limit.Cur)
	}
	m := output.New(output.Options{Stdout: io.Discard, Stderr: io.Discard})
	var ends []*os.File
	used, before := heap(), threads(t)
	for slot := 1; slot <= 1000; slot++ {
		stdout, stderr, err := m.Open(slot, 1)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, stdout, stderr)
		for _, f := range ends[len(ends)-2:] {
			_, _ = io.WriteString(f, strings.Repeat("x", 1000)+"\n")
		}
	}
	for slot := 1; slot <= 1000; slot++ {
		if m.LastWords(slot, 1, fatalWait).Line == "" {
			t.Fatalf("slot %d was not read", slot)
		}
	}
	if more := threads(t) - before; more > 40 {
		t.Errorf("%d threads more", more)
	}
	if each := (heap() - used) / 1000; each > 16<<10 {
		t.Errorf("%d bytes per worker", each)
	} else {
		t.Logf("%d bytes per worker", each)
	}
	for _, f := range ends {
		_ = f.Close()
	}
	m.Close(fatalWait)
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // pools survive one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func threads(t *testing.T) int { return entries(t, "/proc/self/task") }

func openFiles(t *testing.T) int { return entries(t, "/proc/self/fd") }

func entries(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func Example() {
	m := output.New(output.Options{Mode: output.Prefix, Stdout: os.Stdout, Stderr: os.Stderr})
	stdout, stderr, err := m.Open(3, 1)
	if err != nil {
		return
	}
	// Here the worker is started with both.
	fmt.Fprintln(stdout, "listening")
	fmt.Fprintln(stderr, "out of memory")
	_, _ = stdout.Close(), stderr.Close()

	last := m.LastWords(3, 1, time.Second)
	m.Close(time.Second)
	fmt.Println("last words:", last.Line)
	// Output:
	// [3] listening
	// last words: out of memory
}
