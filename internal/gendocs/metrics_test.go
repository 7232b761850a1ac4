package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/brood-init/brood/metrics"
)

// The text around the table names metrics too.
func TestTheDocsNameNothingThatIsNotThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range metrics.Descriptors() {
		names = append(names, d.Name)
		if d.Type == metrics.Histogram {
			names = append(names, d.Name+"_bucket", d.Name+"_count", d.Name+"_sum")
		}
	}
	for _, name := range regexp.MustCompile(`\bbrood_[a-z_]*[a-z]\b`).FindAllString(string(text), -1) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is in the docs and nowhere else", name)
		}
	}
}
