package notify

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Message is what a worker has said at once. What it has not mentioned is zero.
type Message struct {
	Slot, Incarnation int
	PID               int // of the process that spoke: the worker or a descendant

	Ready     bool
	Stopping  bool
	Reloading bool          // Monotonic tells since when
	Monotonic time.Duration // CLOCK_MONOTONIC at the begin of a reload

	Watchdog         bool          // a sign of life
	WatchdogTrigger  bool          // the worker asks to be treated as if it had given none
	WatchdogInterval time.Duration // it asks for this interval from now on

	ExtendTimeout time.Duration // it asks for that much more time, from now
	Status        *string       // printable, at most 256 bytes; "" takes the last one back
	Errno         int
	ExitStatus    *int
}

// Bounds on what a worker may say.
const (
	longestMessage = 4 << 10
	longestStatus  = 256
)

// parse reads newline-separated assignments; where a name comes twice the last
// one counts. Unknown names are ignored, as sd_notify(3) wants. An
// assignment that cannot be read is left out and named by the error, which
// does not repeat what was sent; the others still count. heard is false when
// nothing is left, ignored is how many known ones brood does not follow.
func parse(text []byte) (m Message, heard bool, ignored int, err error) {
	text = bytes.TrimSuffix(text, []byte{0}) // some senders count the C string's end
	switch {
	case len(text) == 0:
		return m, false, 0, fmt.Errorf("it is empty")
	case bytes.IndexByte(text, 0) >= 0:
		return m, false, 0, fmt.Errorf("it has a zero byte in it")
	}
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		name, value, found := strings.Cut(string(line), "=")
		if !found {
			err = fmt.Errorf("a line is no assignment")
			continue
		}
		switch result := m.assign(name, value); result {
		case understood:
			heard = true
		case notFollowed:
			ignored++
		case malformed:
			err = fmt.Errorf("the value of %s cannot be read", name)
		case unknown:
		}
	}
	return m, heard, ignored, err
}

// result says what became of an assignment.
type result int

const (
	unknown result = iota
	understood
	notFollowed
	malformed
)

func (m *Message) assign(name, value string) result {
	switch name {
	case "READY":
		return flag(&m.Ready, value, "1")
	case "STOPPING":
		return flag(&m.Stopping, value, "1")
	case "RELOADING":
		return flag(&m.Reloading, value, "1")
	case "WATCHDOG":
		if value == "trigger" {
			return flag(&m.WatchdogTrigger, value, "trigger")
		}
		return flag(&m.Watchdog, value, "1")
	case "MONOTONIC_USEC":
		return microseconds(&m.Monotonic, value)
	case "WATCHDOG_USEC":
		return microseconds(&m.WatchdogInterval, value)
	case "EXTEND_TIMEOUT_USEC":
		return microseconds(&m.ExtendTimeout, value)
	case "STATUS":
		status := printable(value)
		m.Status = &status
		return understood
	case "ERRNO":
		n, err := strconv.ParseUint(value, 10, 12) // MAX_ERRNO of the kernel is 4095
		if err != nil {
			return malformed
		}
		m.Errno = int(n)
		return understood
	case "EXIT_STATUS":
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			return malformed
		}
		code := int(n)
		m.ExitStatus = &code
		return understood
	case "MAINPID", "MAINPIDFDID", "NOTIFYACCESS", "BUSERROR", "VARLINKERROR",
		"FDSTORE", "FDSTOREREMOVE", "FDNAME", "FDPOLL":
		return notFollowed
	}
	return unknown // BARRIER among them: closing its descriptor is the answer
}

// flag sets a flag that knows one value.
func flag(to *bool, value, want string) result {
	if value != want {
		return unknown
	}
	*to = true
	return understood
}

func microseconds(to *time.Duration, value string) result {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > math.MaxInt64/uint64(time.Microsecond) {
		return malformed
	}
	*to = time.Duration(n) * time.Microsecond
	return understood
}

// printable is a text that can be shown on a terminal and stored: what is not
// UTF-8 or not to be printed becomes U+FFFD, and what is too long is cut.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(r) > longestStatus {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
