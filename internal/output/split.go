package output

import (
	"bytes"
	"unicode/utf8"
)

// longestLine is where a line is cut.
const longestLine = 64 << 10

// piece is a line, or a part of one, without its newline.
type piece struct {
	text      []byte
	continued bool // it goes on where the piece before was cut
	partial   bool // it is cut: more of its line may follow
}

// splitter makes lines of what was read. Its zero value is ready. It holds
// memory only while a line is incomplete.
type splitter struct {
	rest []byte // of a line without its newline yet
	cut  bool   // the line in rest, or to come, has begun in an earlier piece
}

// small is what an empty rest may keep of its memory.
const small = 4 << 10

// feed takes in data and hands every piece that it completes to emit, which
// must not keep the text.
func (s *splitter) feed(data []byte, emit func(piece)) {
	for len(data) > 0 {
		newline := bytes.IndexByte(data, '\n')
		if newline < 0 {
			newline = len(data)
		}
		room := longestLine - len(s.rest)
		switch {
		case newline > room: // too long: cut, and look at what is left again
			s.rest = append(s.rest, data[:room]...)
			data = data[room:]
			at := boundary(s.rest)
			s.emit(s.rest[:at], true, emit)
			s.rest = s.rest[:copy(s.rest, s.rest[at:])]
		case newline == len(data): // no newline yet
			s.rest = append(s.rest, data...)
			return
		case len(s.rest) == 0: // the usual case copies nothing
			s.emit(data[:newline], false, emit)
			data = data[newline+1:]
		default:
			s.rest = append(s.rest, data[:newline]...)
			s.emit(s.rest, false, emit)
			s.forget()
			data = data[newline+1:]
		}
	}
}

// flush hands out what is there of a line: for a moment, when partial is set, or
// because nothing will follow.
func (s *splitter) flush(partial bool, emit func(piece)) {
	if len(s.rest) == 0 {
		return
	}
	s.emit(s.rest, partial, emit)
	s.forget()
}

func (s *splitter) emit(text []byte, partial bool, emit func(piece)) {
	emit(piece{text: text, continued: s.cut, partial: partial})
	s.cut = partial
}

func (s *splitter) forget() {
	s.rest = s.rest[:0]
	if cap(s.rest) > small {
		s.rest = nil
	}
}

// boundary is where text can be cut without cutting a character of UTF-8.
func boundary(text []byte) int {
	for at := len(text) - 1; at > max(0, len(text)-utf8.UTFMax); at-- {
		if utf8.RuneStart(text[at]) {
			if utf8.FullRune(text[at:]) {
				return len(text)
			}
			return at
		}
	}
	return len(text)
}
