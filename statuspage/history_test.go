package statuspage

import (
	"math"
	"testing"
	"time"
)

func at(seconds float64) time.Time {
	return time.Unix(1e9, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func used(cpu float64, resident uint64) []Figures {
	return []Figures{{Slot: 1, CPUSeconds: cpu, Resident: resident}}
}

func TestCPUIsWhatWasUsedBetweenTwoMoments(t *testing.T) {
	var h history
	h.record(at(0), used(10, 1))
	h.record(at(3), used(99, 9)) // too soon to be remembered
	h.record(at(10), used(15, 2))
	points := h.look(at(12), used(16, 3))[1]
	if len(points) != 3 || points[0].known || points[1].cores != 0.5 || points[2].cores != 0.5 || points[2].rss != 3 {
		t.Errorf("points: %+v", points)
	}
}

func TestTheFirstLookKnowsNoRate(t *testing.T) {
	var h history
	h.record(at(0), used(10, 1))
	if points := h.look(at(0.001), used(10, 1))[1]; len(points) != 1 || points[0].known {
		t.Errorf("points: %+v", points)
	}
	if points := h.look(at(2), used(11, 1))[1]; len(points) != 2 || points[1].cores != 0.5 {
		t.Errorf("two seconds later: %+v", points)
	}
}

func TestTheHistoryIsBoundedInTimeAndSlots(t *testing.T) {
	var h history
	for n := range 1000 {
		h.record(at(float64(n)*5), used(float64(n)*5, 1))
	}
	points := h.look(at(5000), used(5000, 1))[1]
	if len(points) > moments+1 || points[0].at.Before(at(5000).Add(-window)) {
		t.Errorf("%d points since %v", len(points), points[0].at)
	}
	for _, p := range points[1:] {
		if math.Abs(p.cores-1) > 1e-9 {
			t.Errorf("%v: %v cores, want 1", p.at, p.cores)
		}
	}
	if h.record(at(6000), make([]Figures, mostTracks+1)); len(h.tracks) != 0 {
		t.Error("more slots have a history than may")
	}
}

func TestASlotThatIsGoneIsForgottenAndANewOneBegins(t *testing.T) {
	var h history
	h.record(at(0), used(1, 1))
	h.record(at(5), append(used(2, 1), Figures{Slot: 2, CPUSeconds: 7}))
	if points := h.look(at(10), []Figures{{Slot: 2, CPUSeconds: 8}})[2]; len(points) != 2 || points[1].cores != 0.2 {
		t.Errorf("the new one: %+v", points)
	}
	h.record(at(6+window.Seconds()), []Figures{{Slot: 2, CPUSeconds: 9}})
	if h.tracks[1] != nil {
		t.Error("the old one is still there")
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		age(-time.Second): "0 s", age(59 * time.Second): "59 s", age(61 * time.Second): "1 min 1 s",
		age(3 * time.Hour): "3 h 0 min", age(49 * time.Hour): "2 d 1 h",
		short(1234 * time.Millisecond): "1.2 s", short(time.Minute): "1 min 0 s",
		bytes(512): "512 B", bytes(1536): "1.5 KiB", bytes(300 << 20): "300 MiB", bytes(5 << 40): "5.0 TiB", bytes(9 << 50): "9216 TiB",
		percent(0.004): "0.4 %", percent(1.5): "150 %", plural(1, "worker"): "1 worker", plural(0, "worker"): "0 workers",
		because(""): "", because("source=new"): "", because("source=memory"): "because the memory limit of ? holds no more of ?",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
