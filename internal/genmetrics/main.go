// Genmetrics writes the table in docs/metrics.md from the table that the page is
// made of. Run it in the module's root:
//
//	go run ./internal/genmetrics
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/brood-init/brood/metrics"
)

// The table stands between these lines.
const (
	begin = "<!-- metrics: made by go run ./internal/genmetrics -->\n"
	end   = "<!-- metrics: end -->\n"
)

func main() {
	path := filepath.Join("docs", "metrics.md")
	page, err := generate(path)
	if err == nil {
		err = os.WriteFile(path, page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "genmetrics:", err)
		os.Exit(1)
	}
}

// generate is what the file should hold.
func generate(path string) ([]byte, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, fmt.Errorf("cannot find the place for the table in %q: it has no lines %q and %q", path, begin, end)
	}
	return bytes.Join([][]byte{before, []byte(begin), table(), []byte(end), after}, nil), nil
}

func table() []byte {
	var b bytes.Buffer
	b.WriteString("| metric | type | labels | short | meaning | source |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, d := range metrics.Descriptors() {
		short := ""
		if d.Short {
			short = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Name, d.Type, labels(d.Labels), short, d.Help, d.Source)
	}
	return b.Bytes()
}

// labels shows an enumeration with its values.
func labels(all []metrics.Label) string {
	shown := make([]string, len(all))
	for i, l := range all {
		shown[i] = "`" + l.Name + "`"
		if len(l.Values) > 0 {
			shown[i] += ": " + strings.Join(l.Values, " ")
		}
	}
	return strings.Join(shown, "; ")
}
