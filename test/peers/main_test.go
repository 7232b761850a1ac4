// Package peers_test runs the same work under tini, dumb-init and brood and
// compares what comes of it. Where brood differs on purpose, the tests say why.
//
// With BROOD_COMPARE_OUT=FILE the findings are written there as a Markdown
// table.
package peers_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) {
	harness.Main(withTable{m})
}

// withTable writes the table after the tests.
type withTable struct{ *testing.M }

func (m withTable) Run() int {
	code := m.M.Run()
	text := results.markdown()
	if testing.Verbose() {
		fmt.Print(text)
	}
	if path := os.Getenv("BROOD_COMPARE_OUT"); path != "" && text != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// peer is an init with its way to be called for one child.
type peer struct {
	name    string
	program string // empty for brood
	args    []string
}

var peers = []peer{
	{name: "tini", program: "tini", args: []string{"--"}},
	{name: "dumb-init", program: "dumb-init", args: []string{"--"}},
	// What only brood does with signals, reload and scale, is switched off.
	{name: "brood", args: []string{
		"-n1", "--restart=never", "--log-level=error",
		"--signal=HUP=forward", "--signal=TTIN=ignore", "--signal=TTOU=ignore", "--",
	}},
}

func (p peer) String() string { return p.name }

// patience is how long to wait for what brood must do, and another may leave.
func (p peer) patience() time.Duration {
	if p.program == "" {
		return harness.Fatal
	}
	return harness.Fatal / 20
}

// start runs a command under the init.
func (p peer) start(t *testing.T, m harness.Mode, o harness.Options, argv ...string) *harness.Brood {
	t.Helper()
	o.Program = p.program
	o.Args = append(slices.Clone(p.args), argv...)
	if p.program != "" {
		harness.Need(t, p.program)
		o.LeavesProcesses = true // that is one of the differences
	}
	return m.StartWith(t, o)
}

// each runs a test for each init in both modes.
func each(t *testing.T, test func(t *testing.T, m harness.Mode, p peer)) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			harness.Both(t, func(t *testing.T, m harness.Mode) { test(t, m, p) })
		})
	}
}

// results collects the table: row -> init -> cell.
var results table

type table struct {
	mu    sync.Mutex
	rows  []string
	cells map[string]map[string][]string
}

// note puts a finding into the table; the same one from both modes is one.
func (tab *table) note(row string, p peer, cell string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if tab.cells == nil {
		tab.cells = make(map[string]map[string][]string)
	}
	if tab.cells[row] == nil {
		tab.cells[row] = make(map[string][]string)
		tab.rows = append(tab.rows, row)
	}
	if !slices.Contains(tab.cells[row][p.name], cell) {
		tab.cells[row][p.name] = append(tab.cells[row][p.name], cell)
	}
}

func (tab *table) markdown() string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if len(tab.rows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| what |")
	for _, p := range peers {
		b.WriteString(" " + p.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(peers)) + "\n")
	slices.Sort(tab.rows)
	for _, row := range tab.rows {
		_, shown, _ := strings.Cut(row, " ") // the first word is for the order
		b.WriteString("| " + shown + " |")
		for _, p := range peers {
			cells := tab.cells[row][p.name]
			slices.Sort(cells)
			b.WriteString(" " + strings.Join(cells, "; ") + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
