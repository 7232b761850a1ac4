package lookpath_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/brood-init/brood/internal/lookpath"
)

func TestFindAsExecvpDoes(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"first/plain": 0o644, "second/plain": 0o755, "first/only": 0o644, "first/tool": 0o755} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	both := dir + "/first:" + dir + "/second"
	for _, test := range []struct {
		name, path, dir string
		want            string
		err             error
	}{
		{"tool", both, "", dir + "/first/tool", nil},
		{"plain", both, "", dir + "/second/plain", nil}, // the one that cannot be executed is passed over
		{"only", both, "", "", lookpath.ErrNotExecutable},
		{"missing", both, "", "", lookpath.ErrNotFound},
		{"tool", "first", dir, dir + "/first/tool", nil}, // relative entries are the caller's
		{"tool", "", dir + "/first", "", lookpath.ErrNotFound},
		{"tool", ":" + dir, dir + "/first", dir + "/first/./tool", nil},
		{"./tool", both, dir + "/first", dir + "/first/./tool", nil},
		{dir + "/first", both, "", dir + "/first", lookpath.ErrNotExecutable},
		{dir + "/first/tool/x", both, "", dir + "/first/tool/x", lookpath.ErrNotFound},
		{"", both, "", "", lookpath.ErrNotFound},
	} {
		got, err := lookpath.Find(test.name, test.path, test.dir)
		if !errors.Is(err, test.err) || (test.err == nil) != (err == nil) {
			t.Errorf("%q: error %v, want %v", test.name, err, test.err)
		}
		if err == nil && filepath.Clean(got) != filepath.Clean(test.want) {
			t.Errorf("%q: %q, want %q", test.name, got, test.want)
		}
	}
}
