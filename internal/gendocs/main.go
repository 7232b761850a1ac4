// Gendocs writes what the docs say about brood's settings, from the same table
// as the flags: the manual page and the table in configuration.md. Run it in
// the module's root:
//
//	go run ./internal/gendocs
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/brood-init/brood/entrypoint"
)

// The table stands between these lines.
const (
	begin = "<!-- settings: made by go run ./internal/gendocs -->\n"
	end   = "<!-- settings: end -->\n"
)

func main() {
	files, err := generate("docs")
	for path, content := range files {
		if err == nil {
			err = os.WriteFile(path, content, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

// generate is what the files in dir should hold, by path.
func generate(dir string) (map[string][]byte, error) {
	path := filepath.Join(dir, "configuration.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, fmt.Errorf("cannot find the place for the table in %q: it has no lines %q and %q", path, begin, end)
	}
	var table, manual bytes.Buffer
	entrypoint.WriteSettings(&table)
	entrypoint.WriteManPage(&manual)
	return map[string][]byte{
		path:                          bytes.Join([][]byte{before, []byte(begin), table.Bytes(), []byte(end), after}, nil),
		filepath.Join(dir, "brood.1"): manual.Bytes(),
	}, nil
}
