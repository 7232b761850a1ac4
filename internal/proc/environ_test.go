package proc

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheEnvironmentOfAProcess(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "10", "environ"), "AB=x\x00A=one=1\x00EMPTY=\x00A=two\x00")
	write(t, filepath.Join(root, "11", "environ"), "")
	e, err := FS(root).Environ(10)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"A": "one=1", "AB": "x", "EMPTY": "", "B": "-", "": "-"} {
		if got, ok := e.Get(key); ok != (want != "-") || ok && got != want {
			t.Errorf("%q is %q, %v", key, got, ok)
		}
	}
	for _, pid := range []int{11, 12} {
		if e, err := FS(root).Environ(pid); err == nil {
			t.Errorf("process %d has the environment %q", pid, e)
		}
	}
	if path, ok := Environ(nil).Get("PATH"); ok {
		t.Errorf("no environment has PATH=%s", path)
	}
	mine, err := FS("").Environ(os.Getpid())
	if path, ok := mine.Get("PATH"); err != nil || !ok || path == "" {
		t.Errorf("our own has PATH=%q, %v", path, err)
	}
}
