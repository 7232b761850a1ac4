package metrics

import (
	"os"
	"testing"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
	"github.com/brood-init/brood/reaper"
)

func TestFiguresAreThoseOfTheScrape(t *testing.T) {
	g, table := realBrood(t, 3, Auto)
	var seen []Figures
	g.options.Seen = func(all []Figures) { seen = append(seen[:0], all...) }
	self, err := proc.FS("").Stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	before := table.Figures("", self.PPID)
	_, done, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	done()
	after := table.Figures("", self.PPID)
	if len(before) != 3 || len(seen) != 3 || len(after) != 3 {
		t.Fatalf("%d, %d and %d slots, want 3", len(before), len(seen), len(after))
	}
	for i, f := range seen {
		if f.Slot != i+1 || f.CPUSeconds < before[i].CPUSeconds || f.CPUSeconds > after[i].CPUSeconds || f.Resident == 0 {
			t.Errorf("a scrape has seen %+v, between %+v and %+v", f, before[i], after[i])
		}
	}
	end(table, 2, 1, reaper.Status{}, reaper.Usage{}, fanout.ReasonCompleted, began())
	if f := table.Figures("", self.PPID)[1]; f.Resident != 0 || f.CPUSeconds < after[1].CPUSeconds {
		t.Errorf("after its end: %+v, before %+v", f, after[1])
	}
}
