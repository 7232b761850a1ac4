package fanout

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A worker may say that it is ready before the thread that has forked it gets a
// CPU again. That counts, and the engine hears of the start first.
func TestWhatAWorkerSaysAtOnceCountsOnceItsStartIsKnown(t *testing.T) {
	host := taskHost(t)
	ref := Ref{KindWorker, 1, 1}
	file := filepath.Join(t.TempDir(), "pid")
	host.news.mu.Lock() // keeps the start from being over
	host.Start(Launch{Ref: ref, Args: []string{"/bin/sh", "-c", "echo $$ >$F.new; mv $F.new $F; exec sleep 300"}, Env: []string{"F=" + file, "PATH=/usr/bin:/bin"}})
	pid := 0
	for late := time.Now().Add(20 * time.Second); pid == 0; {
		text, _ := os.ReadFile(file)
		if pid, _ = strconv.Atoi(strings.TrimSpace(string(text))); time.Now().After(late) {
			t.Fatal("the worker does not run")
		}
	}
	said := make(chan Ref)
	go func() {
		slot, incarnation, _ := host.speaker(1, pid)
		said <- Ref{KindWorker, slot, incarnation}
	}()
	select {
	case by := <-said:
		t.Errorf("%v was heard before its start", by)
	case <-time.After(50 * time.Millisecond):
	}
	if slot, _, ok := host.speaker(2, os.Getpid()); ok {
		t.Errorf("a stranger is heard as slot %d", slot) // and not held up by another slot's start
	}
	host.news.mu.Unlock()
	if by := <-said; by != ref {
		t.Errorf("%v was heard, want %v", by, ref)
	}
	if in, ok := (<-host.Inputs()).(Started); !ok || in.Ref != ref {
		t.Errorf("the engine hears %v, want the start", in)
	}
	host.KillAll()
	if in, ok := (<-host.Inputs()).(Exited); !ok || in.Ref != ref {
		t.Errorf("the engine hears %v, want the end", in)
	}
}
