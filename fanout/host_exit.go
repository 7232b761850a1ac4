package fanout

import (
	"syscall"
	"time"

	"github.com/brood-init/brood/reaper"
)

// lastWordsWithin is how long the news of a failed worker waits until what it
// has written is read. Mostly it has been, or takes microseconds; when the
// reader of brood's output is slow it takes an output.Mux's patience.
const lastWordsWithin = 150 * time.Millisecond

// exited passes an end on with what is known of its cause. The reaper waits for
// it, and so must nobody's output hold it up.
func (h *Host) exited(ref Ref, x reaper.Exit) {
	if ref.Kind == KindWorker && !h.discards() && h.reaper.HasChildren() {
		// Its children are brood's now: who they are can still be seen. The last
		// worker mostly leaves nobody, and brood is about to leave, too.
		h.walks.put(func() { h.Census(time.Second) })
	}
	in := Exited{Ref: ref, Exit: x, OOM: h.oom.explains(x.Status)}
	if ref.Kind == KindWorker && !x.Success() && !in.OOM {
		in.OOMKills = h.oom.rest()
	}
	out := h.dress.Output
	switch {
	case out == nil || ref.Kind != KindWorker:
		h.send(in)
	case x.Success():
		out.LastWords(ref.Slot, ref.Incarnation, 0) // nobody asks what it has said
		h.send(in)
	default:
		go func() {
			if words := out.LastWords(ref.Slot, ref.Incarnation, lastWordsWithin); words.Line != "" {
				in.Words = &words
			}
			h.send(in)
		}()
	}
}

// reaped passes on what is known of orphans that have ended.
func (h *Host) reaped(o reaper.Orphans) {
	in := OrphansReaped{Orphans: o, Origins: origins(o.Families)}
	if killed := o.Signals[int(syscall.SIGKILL)]; killed > 0 {
		in.OOMKills = h.oom.take(uint64(killed))
	}
	h.send(in)
}
