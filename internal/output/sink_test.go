package output

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const patience = 100 * time.Millisecond

// reader is what the sink writes to: it takes a write for every turn it is
// given, and answers as it is told to.
type reader struct {
	turns chan func(p []byte) (int, error)
	got   strings.Builder
}

func (r *reader) Write(p []byte) (int, error) {
	answer, open := <-r.turns
	if !open || answer == nil {
		r.got.Write(p)
		return len(p), nil
	}
	n, err := answer(p)
	r.got.Write(p[:n])
	return n, err
}

// play runs a test against a sink with room for some chunks, in fake time. At
// the end the reader reads all that is left.
func play(t *testing.T, chunks int, test func(s *sink, r *reader)) (got string, d *drops) {
	t.Helper()
	d = &drops{}
	synctest.Test(t, func(t *testing.T) {
		r := &reader{turns: make(chan func([]byte) (int, error))}
		s := newSink(r, chunks*chunk, patience, d)
		go s.run()
		test(s, r)
		close(r.turns)
		s.close()
		s.wait(time.Minute)
		synctest.Wait()
		got = r.got.String()
	})
	return got, d
}

func worker(slot int) *source { return &source{frame: newFramer(Prefix, slot, "stdout", false)} }

// submit is what a source does with a line.
func submit(s *sink, from *source, line string) (kept bool) {
	lines := from.frame.append(nil, piece{text: []byte(line)})
	if s.reserve() {
		s.commit(from, lines)
		return true
	}
	s.drop(from, lines)
	return false
}

// big fills a chunk.
func big(mark string) string { return mark + strings.Repeat(".", chunk-len("[1] \n")-len(mark)) }

func TestLinesComeOutInOrder(t *testing.T) {
	got, _ := play(t, 4, func(s *sink, _ *reader) {
		submit(s, worker(1), "a")
		submit(s, worker(2), "b")
		submit(s, worker(1), "c")
	})
	if got != "[1] a\n[2] b\n[1] c\n" {
		t.Errorf("%q", got)
	}
}

func TestAFullQueueHoldsAWorkerUpOncePerStandstill(t *testing.T) {
	one := worker(1)
	got, d := play(t, 2, func(s *sink, r *reader) {
		submit(s, one, big("a"))
		submit(s, one, big("b"))
		for i, wait := range []time.Duration{patience, 0, 0} {
			began := time.Now()
			if submit(s, one, "lost") || time.Since(began) != wait {
				t.Errorf("line %d was kept or waited %v, want %v", i, time.Since(began), wait)
			}
		}
		r.turns <- nil // the reader moves
		synctest.Wait()
		if !submit(s, one, big("c")) {
			t.Error("there was room and the line was not kept")
		}
		began := time.Now()
		if submit(s, one, "lost") || time.Since(began) != patience {
			t.Errorf("the next standstill held up for %v", time.Since(began))
		}
	})
	want := "[1] " + big("a") + "\n[1] " + big("b") + "\n[1] brood: 3 lines dropped\n[1] " + big("c") + "\n[1] brood: 1 line dropped\n"
	if got != want {
		t.Errorf("%q", strings.ReplaceAll(got, "....", ""))
	}
	if lines := d.lines.Load(); lines != 4 {
		t.Errorf("%d lines are counted", lines)
	}
}

func TestWhoWaitsIsServedInTurn(t *testing.T) {
	got, _ := play(t, 1, func(s *sink, r *reader) {
		submit(s, worker(9), big("full"))
		for slot := 1; slot <= 3; slot++ {
			go submit(s, worker(slot), big("x"))
			synctest.Wait()
		}
		for range 3 {
			r.turns <- nil
			synctest.Wait()
		}
	})
	var order strings.Builder
	for line := range strings.Lines(got) {
		order.WriteString(line[:3])
	}
	if order.String() != "[9][1][2][3]" {
		t.Errorf("order %s", order.String())
	}
}

func TestDropsAreToldThoughTheirWorkerIsSilent(t *testing.T) {
	got, _ := play(t, 1, func(s *sink, r *reader) {
		submit(s, worker(1), big("a"))
		submit(s, worker(2), "lost")
		r.turns <- nil
		r.turns <- nil // the notice
		synctest.Wait()
		if !strings.HasSuffix(r.got.String(), "[2] brood: 1 line dropped\n") {
			t.Error("the reader was back and nobody told it")
		}
	})
	if n := strings.Count(got, "dropped"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

func TestAReaderThatIsGoneHoldsUpNobody(t *testing.T) {
	for _, gone := range []error{syscall.EPIPE, io.ErrClosedPipe} {
		got, d := play(t, 2, func(s *sink, r *reader) {
			submit(s, worker(1), "a")
			r.turns <- func([]byte) (int, error) { return 0, gone }
			synctest.Wait()
			for range 1000 {
				began := time.Now()
				if submit(s, worker(1), big("b")) || time.Since(began) != 0 {
					t.Fatalf("kept, or held up for %v", time.Since(began))
				}
			}
		})
		if got != "" || d.lines.Load() != 1001 || d.bytes.Load() != 6+1000*chunk {
			t.Errorf("%v: %d lines and %d bytes counted, written %q", gone, d.lines.Load(), d.bytes.Load(), got)
		}
	}
}

func TestWhoWaitsLearnsThatTheReaderIsGone(t *testing.T) {
	_, d := play(t, 1, func(s *sink, r *reader) {
		submit(s, worker(1), big("a"))
		began := time.Now()
		go func() {
			if submit(s, worker(2), "b") || time.Since(began) != 0 {
				t.Errorf("held up for %v", time.Since(began))
			}
		}()
		synctest.Wait()
		r.turns <- func([]byte) (int, error) { return 0, syscall.EPIPE }
		synctest.Wait()
	})
	if d.lines.Load() != 2 {
		t.Errorf("%d lines counted", d.lines.Load())
	}
}

func TestAFullDiskMayHaveRoomAgain(t *testing.T) {
	got, d := play(t, 4, func(s *sink, r *reader) {
		submit(s, worker(1), "hello")
		r.turns <- func([]byte) (int, error) { return 6, errors.New("no space left on device") }
		r.turns <- nil // the end of the torn line
		synctest.Wait()
		submit(s, worker(1), "again")
	})
	if got != "[1] he\n[1] again\n" || d.lines.Load() != 1 || d.bytes.Load() != 4 {
		t.Errorf("%q, %d lines, %d bytes", got, d.lines.Load(), d.bytes.Load())
	}
}

func TestAReaderThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	_, d := play(t, 4, func(s *sink, _ *reader) {
		submit(s, worker(1), "written too late")
		synctest.Wait()
		submit(s, worker(1), "a")
		s.close()
		began := time.Now()
		s.wait(time.Second)
		if time.Since(began) != time.Second {
			t.Errorf("waited %v", time.Since(began))
		}
		if submit(s, worker(1), "b") {
			t.Error("a line was kept after the end")
		}
	})
	if d.lines.Load() != 2 {
		t.Errorf("%d lines counted", d.lines.Load())
	}
}

func TestWritesAreWholeLines(t *testing.T) {
	for batch, want := range map[string]string{
		"a\nb\n": "a\nb\n", "aaaa\nbbbb\nc\n": "aaaa\n", "aaaaaaaaaaaa\nb\n": "aaaaaaaaaaaa\n", "aaaaaaa\nb\n": "aaaaaaa\n",
	} {
		if got := string(wholeLines([]byte(batch), 8)); got != want {
			t.Errorf("%q: %q, want %q", batch, got, want)
		}
	}
}
