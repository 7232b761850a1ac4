package output

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Mode is how a line shows whose it is.
type Mode string

// The modes.
const (
	Prefix Mode = "prefix" // "[slot] line"; a continuation is "[slot+] line"
	JSON   Mode = "json"   // {"time":..., "slot":..., "stream":..., "line":...}
)

// framer turns pieces of one stream of one worker into lines of output.
type framer struct {
	json             bool
	first, continued string // what goes before a line
	stamp            []byte // with json: first, with the time filled in
}

func newFramer(mode Mode, slot int, stream string, color bool) framer {
	number := strconv.Itoa(slot)
	if mode == JSON {
		return framer{json: true, first: `","slot":` + number + `,"stream":"` + stream + `","line":"`}
	}
	on, off := "", ""
	if color {
		// Cyan, yellow, green, magenta, blue: red is for errors.
		on, off = "\x1b["+[...]string{"36", "33", "32", "35", "34"}[max(0, slot-1)%5]+"m", "\x1b[0m"
	}
	return framer{first: on + "[" + number + "]" + off + " ", continued: on + "[" + number + "+]" + off + " "}
}

// at sets the time of the lines that follow.
func (f *framer) at(now time.Time) {
	if !f.json {
		return
	}
	f.stamp = append(f.stamp[:0], `{"time":"`...)
	f.stamp = now.UTC().AppendFormat(f.stamp, "2006-01-02T15:04:05.000000000Z")
	f.stamp = append(f.stamp, f.first...)
}

// append adds a piece to dst as one line of output, newline included. Text ends
// are told only where it matters: the empty end of a line that was cut is
// left out of prefixed output, where nobody puts pieces together.
func (f *framer) append(dst []byte, p piece) []byte {
	if f.json {
		dst = appendEscaped(append(dst, f.stamp...), p.text)
		if p.partial {
			return append(dst, "\",\"partial\":true}\n"...)
		}
		return append(dst, "\"}\n"...)
	}
	head := f.first
	if p.continued {
		if len(p.text) == 0 {
			return dst
		}
		head = f.continued
	}
	return append(append(append(dst, head...), p.text...), '\n')
}

// notice is the line that tells of lines that were dropped.
func (f *framer) notice(dst []byte, now time.Time, lines uint64) []byte {
	var space [64]byte
	text := append(space[:0], "brood: "...)
	text = strconv.AppendUint(text, lines, 10)
	if lines == 1 {
		text = append(text, " line dropped"...)
	} else {
		text = append(text, " lines dropped"...)
	}
	fresh := framer{json: f.json, first: f.first} // stamp belongs to the source
	fresh.at(now)
	return fresh.append(dst, piece{text: text})
}

// appendEscaped adds text as the inside of a JSON string, RFC 8259 section 7. A
// byte that is not UTF-8 becomes U+FFFD. U+2028 and U+2029 are escaped for
// readers that take JSON for JavaScript.
func appendEscaped(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	clean := 0 // where what can be copied as it is begins
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(append(dst, text[clean:i]...), `\ufffd`...)
			case r == '\u2028' || r == '\u2029':
				dst = append(append(dst, text[clean:i]...), `\u202`...)
				dst = append(dst, hex[r&0xf])
			default:
				i += size
				continue
			}
			i += size
			clean = i
			continue
		}
		dst = append(dst, text[clean:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
		i++
		clean = i
	}
	return append(dst, text[clean:]...)
}
