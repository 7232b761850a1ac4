package main

import (
	"fmt"
	"io"

	"github.com/brood-init/brood/fanout"
)

// writeReasons writes the table of the reasons for which workers and brood end.
func writeReasons(w io.Writer) {
	fmt.Fprint(w, "| reason | a worker | brood |\n| --- | --- | --- |\n")
	for _, m := range fanout.Reasons() {
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", m.Reason, m.Worker, m.Brood)
	}
}
