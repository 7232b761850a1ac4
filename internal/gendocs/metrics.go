package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/brood-init/brood/metrics"
)

// writeMetrics writes the table of all metrics.
func writeMetrics(w io.Writer) {
	fmt.Fprint(w, "| metric | type | labels | short | meaning | source |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, d := range metrics.Descriptors() {
		short := ""
		if d.Short {
			short = "yes"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s | %s |\n", d.Name, d.Type, labels(d.Labels), short, d.Help, d.Source)
	}
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
