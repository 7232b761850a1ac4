package output

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options say where lines go. The zero value of a bound is its default.
type Options struct {
	Mode Mode // Prefix, unless it is JSON
	// Stdout and Stderr are written to from one goroutine each. An *os.File is
	// written to by its descriptor, which may be shared, blocking or not.
	Stdout, Stderr io.Writer
	Color          bool // prefixes are coloured

	Queue    int           // bytes that wait to be written, of both streams: 4 MiB, at least 128 KiB
	Patience time.Duration // how long a full queue holds up a worker: 100 ms
	Prompt   time.Duration // after which an incomplete line goes out: 500 ms
}

func (o Options) withDefaults() Options {
	if o.Queue == 0 {
		o.Queue = 4 << 20
	}
	if o.Patience == 0 {
		o.Patience = 100 * time.Millisecond
	}
	if o.Prompt == 0 {
		o.Prompt = 500 * time.Millisecond
	}
	return o
}

// Mux brings the output of many workers together. Its methods may be called
// from any goroutine.
type Mux struct {
	options Options
	sinks   [2]*sink // of stdout and stderr; may be the same
	dropped drops
	buffers sync.Pool

	mu      sync.Mutex
	closed  bool
	sources map[*source]struct{}
	words   map[incarnation]*lastWords
}

type incarnation struct{ slot, number int }

// New starts a Mux. It lives until Close.
func New(options Options) *Mux {
	m := &Mux{
		options: options.withDefaults(),
		sources: map[*source]struct{}{},
		words:   map[incarnation]*lastWords{},
		buffers: sync.Pool{New: func() any { return new(buffers) }},
	}
	outputs := []io.Writer{options.Stdout, options.Stderr}
	if sameFile(options.Stdout, options.Stderr) {
		outputs = outputs[:1]
	}
	for i, out := range outputs {
		write, onTerminal := writerTo(out)
		s := newSink(write, max(2*chunk, m.options.Queue/len(outputs)), m.options.Patience, &m.dropped)
		m.sinks[i] = s
		go func() {
			if onTerminal {
				ownThread()
			}
			s.run()
		}()
	}
	if len(outputs) == 1 {
		m.sinks[1] = m.sinks[0]
	}
	return m
}

// Open returns the write ends of two new pipes for one worker, the slot's
// incarnation of that number, blocking and close-on-exec. The caller closes them when the worker has been started, or
// could not be. The error after Close is os.ErrClosed.
func (m *Mux) Open(slot, number int) (stdout, stderr *os.File, err error) {
	outRead, outWrite, err := pipe("stdout", slot)
	if err != nil {
		return nil, nil, err
	}
	errRead, errWrite, err := pipe("stderr", slot)
	if err != nil {
		closeAll(outRead, outWrite)
		return nil, nil, err
	}
	if err := m.read(slot, number, outRead, errRead); err != nil {
		closeAll(outRead, outWrite, errRead, errWrite)
		return nil, nil, err
	}
	return outWrite, errWrite, nil
}

// read starts the sources of a worker's pipes.
func (m *Mux) read(slot, number int, stdout, stderr *os.File) error {
	out, err := m.newSource(slot, "stdout", stdout, m.sinks[0])
	if err != nil {
		return err
	}
	last, err := m.newSource(slot, "stderr", stderr, m.sinks[1])
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("cannot open a pipe for slot %d: %w", slot, os.ErrClosed)
	}
	m.words[incarnation{slot, number}] = newLastWords(last)
	for _, s := range []*source{out, last} {
		m.sources[s] = struct{}{}
		go func() {
			s.run()
			m.mu.Lock()
			delete(m.sources, s)
			m.mu.Unlock()
		}()
	}
	return nil
}

func (m *Mux) newSource(slot int, stream string, file *os.File, to *sink) (*source, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s of slot %d: %w", stream, slot, err)
	}
	return &source{
		file: file, raw: raw, sink: to,
		frame:   newFramer(m.options.Mode, slot, stream, m.options.Color),
		buffers: &m.buffers, prompt: m.options.Prompt,
		progress: make(chan struct{}, 1), ended: make(chan struct{}),
	}, nil
}

// LastWords are what an incarnation has said on stderr in the end. Ask once,
// when it has ended or could not be started: they are forgotten then. What it
// wrote just before its end may still be in its pipe: LastWords waits up to
// within until it is read, and with 0 not at all.
func (m *Mux) LastWords(slot, number int, within time.Duration) Words {
	of := incarnation{slot, number}
	m.mu.Lock()
	words := m.words[of]
	delete(m.words, of)
	m.mu.Unlock()
	if words == nil {
		return Words{}
	}
	return words.get(within)
}

// Dropped says how much was not written so far, in lines and bytes of output:
// the reader was too slow, or gone, or the disk was full.
func (m *Mux) Dropped() (lines, bytes uint64) {
	return m.dropped.lines.Load(), m.dropped.bytes.Load()
}

// Close reads every pipe to its end and writes all out, within timeout: a
// process that outlives its worker may hold a pipe open, and the reader may be
// slow. Then brood's ends of the pipes are closed; who still writes gets EPIPE.
// Only a write that hangs, and its goroutine, outlive Close.
func (m *Mux) Close(timeout time.Duration) {
	end := time.Now().Add(timeout)
	m.mu.Lock()
	m.closed = true
	left := make([]*source, 0, len(m.sources))
	for s := range m.sources {
		left = append(left, s)
	}
	m.mu.Unlock()

	// The last quarter of the time is for writing what was read.
	patience := time.NewTimer(timeout - timeout/4)
	defer patience.Stop()
	waited := false
	for _, s := range left {
		if !waited {
			select {
			case <-s.ended:
			case <-patience.C:
				waited = true
			}
		}
		if waited {
			s.end()
		}
	}
	last := time.NewTimer(time.Until(end))
	defer last.Stop()
	for _, s := range left {
		select {
		case <-s.ended:
		case <-last.C:
			last.Reset(0)
		}
	}
	for _, s := range m.sinks {
		s.close()
	}
	for _, s := range m.sinks {
		s.wait(time.Until(end))
	}
}

// pipe returns a pipe that is read through the poller and written to, by
// others, like any other.
func pipe(stream string, slot int) (read, write *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe for the %s of slot %d: %w", stream, slot, err)
	}
	_ = unix.SetNonblock(fds[0], true) // cannot fail on a descriptor that was just made
	return os.NewFile(uintptr(fds[0]), stream), os.NewFile(uintptr(fds[1]), stream), nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
