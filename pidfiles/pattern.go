package pidfiles

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Pattern is a setting such as /run/brood/web.pid, which stands for one file
// for each integer, /run/brood/web.0.pid and so on, and for the master's file.
// Patterns are equal (==) when they stand for the same paths. The zero value
// stands for nothing: Patterns come from Parse.
type Pattern struct {
	dir  string // absolute and clean
	stem string // the name up to its last dot
	ext  string // the rest: empty, or a dot and what follows
}

// master stands in the place of the integer for the master's own file. It is
// no number, so Index never takes that file for a claim.
const master = "master"

// longestName is NAME_MAX of every file system that matters; a name must leave
// room for the longest of its derivatives, that of a temporary file.
const (
	longestName = 255
	roomForTemp = len("." + "." + "2147483647" + "-" + "18446744073709551615" + tempExt)
)

// Parse reads a setting. A relative one is taken from the working directory as
// it is now; the Pattern stays the same after a chdir.
func Parse(setting string) (Pattern, error) {
	p, err := parse(setting)
	if err != nil {
		return Pattern{}, fmt.Errorf("cannot use %q as PID file: %w", setting, err)
	}
	return p, nil
}

func parse(setting string) (Pattern, error) {
	// Clean would forget a last slash, and with it that a directory was meant.
	_, name := filepath.Split(setting)
	switch {
	case setting == "":
		return Pattern{}, errors.New("it is empty")
	case strings.ContainsRune(setting, 0):
		return Pattern{}, errors.New("it contains a NUL byte")
	case name == "" || name == "." || name == "..":
		return Pattern{}, errors.New("it names a directory: add a file name, such as brood.pid")
	case len(name) > longestName-roomForTemp:
		return Pattern{}, fmt.Errorf("the file name is longer than %d bytes", longestName-roomForTemp)
	}
	path, err := filepath.Abs(setting)
	if err != nil {
		return Pattern{}, err
	}
	ext := filepath.Ext(name)
	return Pattern{dir: filepath.Dir(path), stem: strings.TrimSuffix(name, ext), ext: ext}, nil
}

// Path is the file of the process with index i: ".i" stands before the last
// dot of the file name, or at its end when it has none. A negative i yields a
// path that no process can take.
func (p Pattern) Path(i int) string { return filepath.Join(p.dir, p.name(i)) }

// MasterPath is the file of the master: Path with the word master for i.
func (p Pattern) MasterPath() string { return filepath.Join(p.dir, p.nameOf(master)) }

// Dir is the directory of all the files, an absolute path.
func (p Pattern) Dir() string { return p.dir }

// In is the Pattern with the same file name in another directory, whose path is
// absolute and clean.
func (p Pattern) In(dir string) Pattern {
	p.dir = dir
	return p
}

// String is the setting, absolute: Parse makes an equal Pattern from it.
func (p Pattern) String() string { return filepath.Join(p.dir, p.stem+p.ext) }

// Index is the inverse of Path, for a file name without its directory. It is
// exact: Path(i) ends in filename whenever ok is true, so no sign, no leading
// zero, nothing before or behind, and no number that an int cannot hold.
func (p Pattern) Index(filename string) (i int, ok bool) {
	digits, found := strings.CutPrefix(filename, p.stem+".")
	if !found {
		return 0, false
	}
	if digits, found = strings.CutSuffix(digits, p.ext); !found {
		return 0, false
	}
	return number(digits)
}

func (p Pattern) name(i int) string { return p.nameOf(strconv.Itoa(i)) }

func (p Pattern) nameOf(word string) string { return p.stem + "." + word + p.ext }

// A temporary file is called ".web.pid.<PID of its writer>-<n>.tmp". The hyphen
// keeps it out of every Pattern, even of one that is called ".web.pid.tmp".
const tempExt = ".tmp"

func (p Pattern) tempName(pid int, n uint64) string {
	return "." + p.stem + p.ext + "." + strconv.Itoa(pid) + "-" + strconv.FormatUint(n, 10) + tempExt
}

// tempWriter is the PID in the name of a temporary file of this Pattern.
func (p Pattern) tempWriter(filename string) (pid int, ok bool) {
	middle, found := strings.CutPrefix(filename, "."+p.stem+p.ext+".")
	if !found {
		return 0, false
	}
	if middle, found = strings.CutSuffix(middle, tempExt); !found {
		return 0, false
	}
	first, second, found := strings.Cut(middle, "-")
	if _, ok := number(second); !found || !ok {
		return 0, false
	}
	pid, ok = number(first)
	return pid, ok && pid >= 1 && pid <= highestPID
}

// number reads the decimal form that strconv.Itoa writes for 0 and above.
func number(digits string) (int, bool) {
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == digits
}
