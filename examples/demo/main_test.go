package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDemo runs it as make demo does where there is no terminal.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	for name, pkg := range map[string]string{"brood": "../../cmd/brood", "web": "../web"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, name), pkg)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("cannot build %s: %v\n%s", name, err, out)
		}
	}
	if err := demo(filepath.Join(dir, "brood"), filepath.Join(dir, "web")); err != nil {
		t.Error(err)
	}
}
