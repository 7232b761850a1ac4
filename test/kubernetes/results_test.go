package kubernetes_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brood-init/brood/internal/docpart"
)

// result is one row of what was seen.
type result struct {
	order      int
	what, seen string
}

var results struct {
	sync.Mutex
	rows     []result
	versions string
}

// record keeps what a test has seen for the page that BROOD_TEST_RESULTS names.
// Rows come in ascending order there. A test that has failed records nothing.
func record(t testing.TB, order int, what, format string, args ...any) {
	if t.Failed() {
		return
	}
	seen := fmt.Sprintf(format, args...)
	t.Logf("%s: %s", what, seen)
	results.Lock()
	defer results.Unlock()
	results.rows = append(results.rows, result{order, what, seen})
	if results.versions == "" {
		results.versions = versions(t)
	}
}

// versions are those of what the tests ran on.
func versions(t testing.TB) string {
	var nodes struct {
		Items []struct {
			Status struct {
				NodeInfo struct{ KernelVersion, KubeletVersion, ContainerRuntimeVersion string }
			}
		}
	}
	get(t, &nodes, "nodes")
	info := nodes.Items[0].Status.NodeInfo
	group := "v1"
	if groupOOM() {
		group = "v2"
	}
	return fmt.Sprintf("Kubernetes %s, %s, kube-proxy by nftables, Linux %s, cgroup %s, one node with %d CPUs",
		info.KubeletVersion, strings.Replace(info.ContainerRuntimeVersion, "://", " ", 1), info.KernelVersion, group, runtime.NumCPU())
}

const (
	begin = "<!-- results: made by make e2e-k8s -->\n"
	end   = "<!-- results: end -->\n"
)

// writeResults puts the table into the page, if all tests have run and passed.
func writeResults(code int) error {
	path, some := os.Getenv("BROOD_TEST_RESULTS"), flag.Lookup("test.run").Value.String() != ""
	if path == "" || code != 0 || some || len(results.rows) == 0 {
		return nil
	}
	slices.SortStableFunc(results.rows, func(a, b result) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.what, b.what))
	})
	var table bytes.Buffer
	fmt.Fprintf(&table, "Seen on %s: %s.\n\n| what | seen |\n| --- | --- |\n", time.Now().UTC().Format(time.DateOnly), results.versions)
	for _, r := range results.rows {
		fmt.Fprintf(&table, "| %s | %s |\n", r.what, r.seen)
	}
	page, err := docpart.Replaced(path, begin, end, table.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(path, page, 0o644)
}
