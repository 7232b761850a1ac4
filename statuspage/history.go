package statuspage

import (
	"sync"
	"time"
)

const (
	window  = 5 * time.Minute // how far back the history goes
	apart   = 5 * time.Second // how far apart its moments are, at least
	moments = int(window / apart)
	// mostTracks is how many slots may have a history: 128 are 120 KB.
	mostTracks = 128
	// shortest is over how long a rate is worth telling: CPU time comes in
	// hundredths of a second.
	shortest = 500 * time.Millisecond
)

// history is what the slots have used at some moments of the last minutes. It
// is made when somebody looks or scrapes, and never by itself.
type history struct {
	mu     sync.Mutex
	times  [moments]time.Time
	used   int // of times, the newest last; a ring would save a copy of 1.5 KB
	tracks map[int]*track
}

// track is the history of a slot, by the moments of times.
type track struct {
	cpu  [moments]float64 // seconds, negative for not known
	rss  [moments]float32 // bytes
	seen time.Time
}

// point is a slot at one moment: the cores that it has used since the moment
// before, and its memory.
type point struct {
	at    time.Time
	cores float64
	rss   float64
	known bool // cores are
}

// record remembers figures if the last moment is long enough ago.
func (h *history) record(at time.Time, figures []Figures) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(figures) > mostTracks {
		h.tracks, h.used = nil, 0
		return
	}
	if h.used > 0 && at.Sub(h.times[h.used-1]) < apart {
		return
	}
	if h.tracks == nil {
		h.tracks = make(map[int]*track)
	}
	if h.used == moments {
		copy(h.times[:], h.times[1:])
		for _, t := range h.tracks {
			copy(t.cpu[:], t.cpu[1:])
			copy(t.rss[:], t.rss[1:])
		}
		h.used--
	}
	h.times[h.used] = at
	for _, t := range h.tracks {
		t.cpu[h.used] = -1
	}
	for _, f := range figures {
		t := h.tracks[f.Slot]
		if t == nil {
			t = new(track)
			for i := range h.used {
				t.cpu[i] = -1
			}
			h.tracks[f.Slot] = t
		}
		t.cpu[h.used], t.rss[h.used], t.seen = f.CPUSeconds, float32(f.Resident), at
	}
	for slot, t := range h.tracks {
		if at.Sub(t.seen) > window {
			delete(h.tracks, slot)
		}
	}
	h.used++
}

// look returns the points of each slot within the window, the figures of now
// last.
func (h *history) look(now time.Time, figures []Figures) map[int][]point {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[int][]point, len(figures))
	for _, f := range figures {
		t := h.tracks[f.Slot]
		if t == nil {
			continue
		}
		points := make([]point, 0, h.used+1)
		var before time.Time
		last := -1.0
		add := func(at time.Time, cpu, rss float64) {
			if cpu < 0 {
				return
			}
			p := point{at: at, rss: rss}
			if passed := at.Sub(before); last >= 0 && passed >= shortest {
				p.cores, p.known = max(0, (cpu-last)/passed.Seconds()), true
			}
			before, last = at, cpu
			points = append(points, p)
		}
		for i := range h.used {
			if now.Sub(h.times[i]) <= window {
				add(h.times[i], t.cpu[i], float64(t.rss[i]))
			}
		}
		if now.Sub(before) >= shortest {
			add(now, f.CPUSeconds, float64(f.Resident))
		}
		all[f.Slot] = points
	}
	return all
}
