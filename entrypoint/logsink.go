package entrypoint

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/tty"
)

const (
	logQueue  = 4096
	logAtExit = 200 * time.Millisecond // what the sink gets to write at the end
)

// logSink writes events as lines to a descriptor. It never holds up the engine:
// its queue is bounded, what does not fit is counted and dropped, and a full
// pipe behind it stops only the sink.
type logSink struct {
	fd      int
	handler slog.Handler
	level   slog.Level
	queue   chan logged
	dropped atomic.Int64
	stop    chan struct{}
	done    chan struct{}
}

type logged struct {
	at   time.Time
	ev   fanout.Event
	line *line // instead of ev: not an event of the engine
}

// newLogSink starts a sink. JSON is one object per line, otherwise key=value.
func newLogSink(fd int, json bool, level slog.Level) *logSink {
	s := &logSink{
		fd:    fd,
		level: level,
		queue: make(chan logged, logQueue),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: utc}
	if json {
		s.handler = slog.NewJSONHandler(s, options)
	} else {
		s.handler = slog.NewTextHandler(s, options)
	}
	go s.run()
	return s
}

// utc prints times as RFC 3339 in UTC with milliseconds, and durations as the
// settings take them, which a JSON number of nanoseconds is not.
func utc(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindTime:
		return slog.String(a.Key, a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	case slog.KindDuration:
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}

// observe is the sink's fanout.Observer.
func (s *logSink) observe(at time.Time, ev fanout.Event) { s.put(logged{at: at, ev: ev}) }

// write logs a line that comes from outside the engine.
func (s *logSink) write(l line) { s.put(logged{at: time.Now(), line: &l}) }

func (s *logSink) put(l logged) {
	select {
	case s.queue <- l:
	default:
		s.dropped.Add(1)
	}
}

// close lets the sink write what it holds and returns within logAtExit.
func (s *logSink) close() {
	close(s.stop)
	timeout := time.NewTimer(logAtExit)
	defer timeout.Stop()
	select {
	case <-s.done:
	case <-timeout.C:
	}
}

// run writes on a thread of its own that has SIGTTOU blocked: a background
// process that writes to a terminal with "tostop" while it handles SIGTTOU is
// made to try again for ever.
func (s *logSink) run() {
	defer close(s.done)
	runtime.LockOSThread() // never unlocked: the mask stays with the thread
	tty.BlockTTOU()
	for {
		select {
		case l := <-s.queue:
			s.log(l)
		case <-s.stop:
			for {
				select {
				case l := <-s.queue:
					s.log(l)
				default:
					return
				}
			}
		}
	}
}

func (s *logSink) log(l logged) {
	if n := s.dropped.Swap(0); n > 0 {
		s.handle(time.Now(), warnLine("log lines dropped, the reader is too slow", slog.Int64("lines", n)))
	}
	if l.line != nil {
		s.handle(l.at, *l.line)
		return
	}
	s.handle(l.at, describe(l.ev))
}

func (s *logSink) handle(at time.Time, l line) {
	if l.level < s.level {
		return
	}
	r := slog.NewRecord(at, l.level, l.msg, 0)
	r.AddAttrs(l.attrs...)
	_ = s.handler.Handle(context.Background(), r) // nobody is left to tell
}

// Write implements io.Writer for the handler, which calls it once per line. It
// waits for a descriptor that is non-blocking because somebody shares it.
func (s *logSink) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := syscall.Write(s.fd, p[written:])
		if n > 0 {
			written += n
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
			_, _ = unix.Poll(fds, -1)
		default:
			return written, err // the reader is gone; brood does without
		}
	}
	return written, nil
}
