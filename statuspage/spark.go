package statuspage

import (
	"strconv"
	"time"
)

// The drawing board of a sparkline.
const sparkWidth, sparkHeight = 100, 24

// spark draws values over the window that ends now, up to a scale that all
// slots share. What is hidden from screen readers is said in numbers beside it.
func (w *writer) spark(class string, now time.Time, points []point, most float64, value func(point) (float64, bool)) {
	w.raw(`<svg class="spark `, class, `" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true" focusable="false">`)
	var line []byte
	var first, x0, y0, drawn int
	for _, p := range points {
		v, ok := value(p)
		if !ok {
			continue
		}
		x := sparkWidth - int(float64(sparkWidth)*float64(now.Sub(p.at))/float64(window))
		y := sparkHeight - 1
		if most > 0 {
			y -= int(v / most * (sparkHeight - 3))
		}
		switch drawn {
		case 0:
			first = x
			line = pair(append(line, 'M'), x, y)
		case 1:
			line = pair(append(line, 'l'), x-x0, y-y0)
		default: // steps take a third of the bytes of places
			line = pair(append(line, ' '), x-x0, y-y0)
		}
		x0, y0 = x, y
		drawn++
	}
	switch text := string(line); drawn {
	case 0:
	case 1:
		w.raw(`<path class="line" d="`, text, `h-2"/>`)
	default:
		w.raw(`<path class="area" d="`, text, "V24H", strconv.Itoa(first), `z"/><path class="line" d="`, text, `"/>`)
	}
	w.raw("</svg>")
}

// pair appends two numbers; a minus separates as well as a blank.
func pair(line []byte, x, y int) []byte {
	line = strconv.AppendInt(line, int64(x), 10)
	if y >= 0 {
		line = append(line, ' ')
	}
	return strconv.AppendInt(line, int64(y), 10)
}
