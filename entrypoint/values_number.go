package entrypoint

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Processes is how many workers are wanted.
type Processes struct {
	Auto  bool // as many as there are CPUs
	Count int  // without Auto; may be 0
}

// maxProcesses is more than a kernel can hold; it catches slips of the key.
const maxProcesses = 100_000

func parseProcesses(text string) (Processes, error) {
	text = strings.TrimSpace(text)
	if digits, negative := strings.CutPrefix(text, "-"); text == "auto" || negative && isDigits(digits) {
		return Processes{Auto: true}, nil
	}
	n, err := parseCount(text, 0)
	if err != nil {
		return Processes{}, fmt.Errorf("%w, or auto", err)
	}
	return Processes{Count: n}, nil
}

func parseMinProcesses(text string) (int, error) {
	return parseCount(strings.TrimSpace(text), 1)
}

func parseMaxProcesses(text string) (int, error) {
	if text = strings.TrimSpace(text); text == none {
		return 0, nil
	}
	n, err := parseCount(text, 1)
	if err != nil {
		return 0, fmt.Errorf("%w, or none", err)
	}
	return n, nil
}

func parseCount(text string, least int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || !isDigits(text) || n < least || n > maxProcesses {
		return 0, fmt.Errorf("want a number from %d to %d", least, maxProcesses)
	}
	return n, nil
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func parseFew(text string) (int, error) { return parseCount(strings.TrimSpace(text), 0) }

const wantSize = "want a size above 0, such as 300MiB or 2g, or none"

// parseMemory reads a size in bytes. Units are read as by docker, systemd and
// the GNU tools: k, Ki and KiB are 1024, and only kB is 1000.
func parseMemory(text string) (uint64, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == none {
		return 0, nil
	}
	number := strings.TrimRight(text, "bikmgt ")
	factor, ok := sizeUnit(strings.TrimSpace(text[len(number):]))
	if !ok || strings.Trim(number, "0123456789.") != "" {
		return 0, errors.New(wantSize)
	}
	n, err := strconv.ParseFloat(number, 64)
	if size := n * factor; err == nil && size >= 1 && size < 1<<62 {
		return uint64(size), nil
	}
	return 0, errors.New(wantSize)
}

func sizeUnit(unit string) (factor float64, ok bool) {
	if unit == "" || unit == "b" {
		return 1, true
	}
	power := strings.IndexByte("kmgt", unit[0])
	if power < 0 {
		return 0, false
	}
	base := 1024.0
	switch unit[1:] {
	case "", "i", "ib":
	case "b":
		base = 1000
	default:
		return 0, false
	}
	factor = base
	for range power {
		factor *= base
	}
	return factor, true
}

// ExitCodeRule replaces an exit code of brood's own.
type ExitCodeRule struct{ From, To int }

func addExitCode(earlier []ExitCodeRule, text string) ([]ExitCodeRule, error) {
	left, right, _ := strings.Cut(text, "=")
	from, ok := parseExitCode(left)
	to, ok2 := parseExitCode(right)
	if !ok || !ok2 {
		return nil, errors.New("want FROM=TO, two exit codes from 0 to 255, such as 143=0")
	}
	rule := ExitCodeRule{from, to}
	for _, other := range earlier {
		switch {
		case other == rule:
			return earlier, nil
		case other.From == from:
			return nil, fmt.Errorf("%d=%d is there already, give each exit code one replacement", from, other.To)
		}
	}
	return append(earlier, rule), nil
}

func parseExitCode(text string) (int, bool) {
	code, err := strconv.ParseUint(strings.TrimSpace(text), 10, 8)
	return int(code), err == nil
}
