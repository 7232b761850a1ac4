package harness

import (
	"bufio"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Lines collects what a program writes, line by line.
type Lines struct {
	mu    sync.Mutex
	lines []string
	ended chan struct{}
}

// collect makes a pipe whose write end becomes *end.
func (b *Brood) collect(end *io.Writer) *Lines {
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	*end = w
	b.opened = append(b.opened, w)
	return Collect(b.t, r)
}

// Collect reads lines from a file until the test ends.
func Collect(t testing.TB, f *os.File) *Lines {
	l := &Lines{ended: make(chan struct{})}
	go l.read(f)
	t.Cleanup(func() {
		_ = f.Close()
		<-l.ended
	})
	return l
}

func (l *Lines) read(r io.Reader) {
	defer close(l.ended)
	buffered := bufio.NewReader(r)
	for {
		line, err := buffered.ReadString('\n')
		if line != "" {
			l.mu.Lock()
			l.lines = append(l.lines, strings.TrimRight(line, "\r\n"))
			l.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// hasEnded reports whether all writers are gone.
func (l *Lines) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// awaitEnd waits until all writers are gone. One that stays is a process that
// was left behind.
func (l *Lines) awaitEnd(t testing.TB) {
	t.Helper()
	late := time.NewTimer(Fatal)
	defer late.Stop()
	select {
	case <-l.ended:
	case <-late.C:
		t.Error("after its end somebody still holds brood's output open")
	}
}

// All are the lines so far.
func (l *Lines) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

func (l *Lines) String() string { return strings.Join(l.All(), "\n") }

// Find returns the first line that has all the words, or "".
func (l *Lines) Find(words ...string) string {
	for _, line := range l.All() {
		if hasAll(line, words) {
			return line
		}
	}
	return ""
}

// Count is the number of lines that have all the words.
func (l *Lines) Count(words ...string) (n int) {
	for _, line := range l.All() {
		if hasAll(line, words) {
			n++
		}
	}
	return n
}

// Await waits for a line that has all the words.
func (l *Lines) Await(t testing.TB, words ...string) (line string) {
	t.Helper()
	if !Within(Fatal, func() bool { line = l.Find(words...); return line != "" }) {
		t.Fatalf("no line has %q; there are:\n%s", words, l)
	}
	return line
}

func hasAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
