package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDocsAreUpToDate(t *testing.T) {
	files, err := generate(filepath.Join("..", "..", "docs"))
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
	dir := t.TempDir()
	if _, err := generate(dir); err == nil {
		t.Error("no page, no error")
	}
	for name := range pages() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(begin), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := generate(dir); err == nil || !strings.Contains(err.Error(), "<!-- table") {
		t.Errorf("no end of the table: %v", err)
	}
}
