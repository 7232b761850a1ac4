// Gendocs writes those parts of the docs that come from the code: the manual
// page, and the tables of the settings, the reasons and the metrics; and the
// alerts as the Prometheus operator wants them. Run it in the module's root:
//
//	go run ./internal/gendocs
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/brood-init/brood/entrypoint"
	"github.com/brood-init/brood/internal/docpart"
)

// pages are those with a table, which stands between two lines that name it.
func pages() map[string]func(io.Writer) {
	return map[string]func(io.Writer){
		"configuration.md": entrypoint.WriteSettings,
		"exit-codes.md":    writeReasons,
		"metrics.md":       writeMetrics,
	}
}

const (
	begin = "<!-- table: made by go run ./internal/gendocs -->\n"
	end   = "<!-- table: end -->\n"
)

func main() {
	files, err := generate(".")
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

// generate is what the files below root should hold, by path.
func generate(root string) (map[string][]byte, error) {
	var manual bytes.Buffer
	entrypoint.WriteManPage(&manual)
	files := map[string][]byte{filepath.Join(root, "docs", "brood.1"): manual.Bytes()}
	rules, err := os.ReadFile(filepath.Join(root, "deploy", "prometheus", "rules.yml"))
	if err != nil {
		return nil, err
	}
	files[filepath.Join(root, "deploy", "kubernetes", "prometheus-operator", "prometheusrule.yaml")] = prometheusRule(rules)
	for name, write := range pages() {
		path := filepath.Join(root, "docs", name)
		var table bytes.Buffer
		write(&table)
		if files[path], err = docpart.Replaced(path, begin, end, table.Bytes()); err != nil {
			return nil, err
		}
	}
	return files, nil
}
