package docpart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyThePartIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	for content, want := range map[string]string{
		"a\n<\nold\n>\nb\n": "a\n<\nnew\n>\nb\n",
		"<\n>\n":            "<\nnew\n>\n",
		">\n<\n":            "",
		"<\nold\n":          "",
		"":                  "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Replaced(path, "<\n", ">\n", []byte("new\n"))
		if string(got) != want {
			t.Errorf("%q becomes %q (%v), want %q", content, got, err, want)
		}
		if want == "" && (err == nil || !strings.Contains(err.Error(), "cannot find the place")) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := Replaced(path+".none", "", "", nil); err == nil {
		t.Error("no page, no error")
	}
}
