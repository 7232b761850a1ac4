package entrypoint

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/reaper"
)

// said is what the log makes of events.
func said(t *testing.T, events ...fanout.Event) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	log := newLogSink(int(w.Fd()), false, slog.LevelDebug)
	for _, ev := range events {
		log.observe(time.Now(), ev)
	}
	log.close()
	_ = w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An orphan that a signal has ended is one like any other, and so are those
// among which the kernel has looked for memory.
func TestTheLogHasTheCodesOfAllOrphans(t *testing.T) {
	t.Parallel()
	reaped := reaper.Orphans{
		Count: 7, Codes: map[int]int{0: 2, 9: 1, 137: 1},
		Signals: map[int]int{int(syscall.SIGKILL): 2, int(syscall.SIGHUP): 1},
	}
	for _, kills := range []uint64{0, 2} {
		line := said(t, fanout.OrphansAdopted{Orphans: reaped, OOMKills: kills})
		if !strings.Contains(line, ` count=7 codes="0:2 9:1 129:1 137:3" `) {
			t.Errorf("with %d victims the log says %q", kills, line)
		}
	}
	if len(reaped.Codes) != 3 {
		t.Error("the line has changed the event, of which others hear, too")
	}
}
