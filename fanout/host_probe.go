package fanout

import (
	"context"
	"os"
	"time"

	"github.com/brood-init/brood/internal/expand"
)

// Probe implements System. A probe is a goroutine that waits in the runtime's
// poller, no thread; the engine has one under way for each worker at most.
func (h *Host) Probe(of Ref, by Prober, id expand.Values, timeout time.Duration) {
	go h.guard(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		err := by.Check(ctx, id)
		h.send(Probed{of, err})
	})
}

// Measure implements System.
func (h *Host) Measure(refs []Ref) {
	h.walks.put(func() {
		in := Measured{RSS: make(map[Ref]uint64, len(refs))}
		for _, ref := range refs {
			p := h.process(ref)
			if p == nil {
				continue
			}
			if st, err := h.proc.Stat(p.PID()); err == nil && st.PPID == h.self && st.ResidentPages > 0 {
				in.RSS[ref] = uint64(st.ResidentPages) * uint64(os.Getpagesize())
			}
		}
		h.send(in)
	})
}
