// Package prometheus_test has a real Prometheus scrape a real brood, and
// compares what it has stored with what was done to the workers. It also runs
// the tests of the alert rules in deploy/prometheus.
//
// It needs the programs prometheus and promtool, which Debian has in one
// package, and no container.
package prometheus_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// asLabourer as the first of two words makes this program a labourer, which
// keeps its accounts in the directory that the second one names.
const asLabourer = "labour"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asLabourer {
		code, err := labour(os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, "labourer:", err)
		}
		os.Exit(code)
	}
	if len(os.Args) > 3 && os.Args[1] == asService {
		if err := serve(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "service:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	harness.Main(m)
}
