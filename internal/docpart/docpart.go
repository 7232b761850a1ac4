// Package docpart replaces the part of a page of the docs that a program makes.
package docpart

import (
	"bytes"
	"fmt"
	"os"
	"slices"
)

// Replaced is the page at path with another part between two lines that stay.
func Replaced(path, begin, end string, part []byte) ([]byte, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	before, rest, found := bytes.Cut(page, []byte(begin))
	_, after, found2 := bytes.Cut(rest, []byte(end))
	if !found || !found2 {
		return nil, fmt.Errorf("cannot find the place for the table in %q: it has no lines %q and %q", path, begin, end)
	}
	return slices.Concat(before, []byte(begin), part, []byte(end), after), nil
}
