package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDocsAreUpToDate(t *testing.T) {
	files, err := generate(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
			t.Errorf("%s is behind the code, run go run ./internal/gendocs (%v)", path, err)
		}
	}
}

func TestPageWithoutAPlace(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"docs", "deploy/prometheus"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := generate(root); err == nil {
		t.Error("no rules, no error")
	}
	if err := os.WriteFile(filepath.Join(root, "deploy", "prometheus", "rules.yml"), []byte("groups: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := generate(root); err == nil {
		t.Error("no page, no error")
	}
	for name := range pages() {
		if err := os.WriteFile(filepath.Join(root, "docs", name), []byte(begin), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := generate(root); err == nil || !strings.Contains(err.Error(), "<!-- table") {
		t.Errorf("no end of the table: %v", err)
	}
}
