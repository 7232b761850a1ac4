package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brood-init/brood/metrics"
)

func path() string { return filepath.Join("..", "..", "docs", "metrics.md") }

func TestTheDocsAreUpToDate(t *testing.T) {
	want, err := generate(path())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run go run ./internal/genmetrics (-want +got):\n%s", diff)
	}
}

// The text around the table names metrics too.
func TestTheDocsNameNothingThatIsNotThere(t *testing.T) {
	text, err := os.ReadFile(path())
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
