package metrics

import (
	"os"

	"github.com/brood-init/brood/internal/proc"
)

// Figures is what a slot has used and uses, by the same reckoning as the page.
type Figures struct {
	Slot       int
	CPUSeconds float64 // of all processes that the slot has had
	Resident   uint64  // bytes of the process in the slot; 0 without one
	Restarts   uint64
}

// Figures reads what the slots use now, in the order of their numbers. It may
// be called beside scrapes, and waits for none. self is brood's own PID, the
// parent of all workers; 0 is os.Getpid.
func (t *Table) Figures(fs proc.FS, self int) []Figures {
	if self == 0 {
		self = os.Getpid()
	}
	pageBytes := uint64(os.Getpagesize())
	cells := *t.slots.Load()
	all := make([]Figures, 0, len(cells))
	for _, c := range cells {
		r := c.record.Load()
		total := r.base
		f := Figures{Slot: c.slot, Restarts: r.restarts}
		shown, _ := r.shown()
		for _, p := range r.live {
			stat, err := fs.Stat(p.pid)
			mine := err == nil && p.mine(stat, self)
			read := usage{} // what is not its adds nothing
			if mine {
				read = figures(stat)
			}
			total.add(p.observe(read))
			if mine && !stat.Ended() && p.incarnation == shown.incarnation {
				f.Resident = uint64(stat.ResidentPages) * pageBytes
			}
		}
		f.CPUSeconds = float64(total.userTicks+total.systemTicks) / proc.TicksPerSecond
		all = append(all, f)
	}
	return all
}
