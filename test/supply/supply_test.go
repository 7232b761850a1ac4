// Package supply_test checks where brood comes from: that its binary is the same
// wherever it is built, that the list of its components is true, and that there
// is a reason for each of them.
package supply_test

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

const root = "../.."

// build makes brood as `make build` does, of the sources in a directory.
func build(t *testing.T, dir, path string, env ...string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=nethttpomithttp2", "-ldflags=-s -w", "-o", path, "./cmd/brood")
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "PWD="+dir), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", dir, err, out)
	}
}

// copySources copies what the binary is built from.
func copySources(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin" || name == "test"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// With BROOD_TEST_FULL each of them is compiled anew, the standard library too;
// otherwise what is compiled is shared, and they are linked.
func TestTheBinaryIsTheSameWhereverItIsBuilt(t *testing.T) {
	t.Parallel()
	var first []byte
	for _, name := range []string{"here", "a directory/with another name"} {
		dir := filepath.Join(t.TempDir(), name)
		copySources(t, dir)
		var env []string
		if harness.Full() {
			env = []string{"GOCACHE=" + t.TempDir()}
		}
		binary := filepath.Join(t.TempDir(), "brood")
		build(t, dir, binary, env...)
		content, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = content
		} else if !bytes.Equal(first, content) {
			t.Errorf("the second binary, of %d bytes, is not the first, of %d", len(content), len(first))
		}
		if bytes.Contains(content, []byte(dir)) {
			t.Errorf("the binary knows that it was built in %s", dir)
		}
	}
}

type module struct {
	Path, Version string
	Indirect      bool
}

// required are the modules of go.mod.
func required(t *testing.T) (all []module) {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Require []module }
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	return file.Require
}

func TestTheListOfComponentsIsThatOfTheBinary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary, tool := filepath.Join(dir, "brood"), filepath.Join(dir, "sbom")
	build(t, root, binary)
	if err := harness.Build(tool, "github.com/brood-init/brood/internal/sbom"); err != nil {
		t.Fatal(err)
	}
	list := func() []byte {
		out, err := exec.Command(tool, binary).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	text := list()
	if !bytes.Equal(text, list()) {
		t.Error("two lists of one binary differ")
	}
	var bom struct {
		BOMFormat, SpecVersion string
		Components             []struct{ Type, Name, Version, PURL string }
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.5" {
		t.Errorf("it is a list of %s %s", bom.BOMFormat, bom.SpecVersion)
	}
	wanted := required(t)
	listed := make(map[string]bool)
	for _, c := range bom.Components {
		listed[c.Name] = true
		if c.Type != "library" || c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("odd component %+v", c)
		}
		if c.Name != "std" && !slices.ContainsFunc(wanted, func(m module) bool { return m.Path == c.Name && m.Version == c.Version }) {
			t.Errorf("%s %s is listed and not in go.mod", c.Name, c.Version)
		}
	}
	for _, name := range append(linked(t, binary), "std") {
		if !listed[name] {
			t.Errorf("%s is in the binary and not listed", name)
		}
	}
}

// linked are the modules in a binary.
func linked(t *testing.T, binary string) (names []string) {
	t.Helper()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		names = append(names, m.Path)
	}
	return names
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (yes|no|webconfig) \\| (.+?) \\|")

// docs/dependencies.md has a row for each module that go.mod asks for itself,
// and says rightly whether it is in the binary.
func TestThereIsAReasonForEveryDirectModule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "brood")
	build(t, root, binary)
	inBinary := linked(t, binary)
	rows := make(map[string]string)
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		if rows[r[1]] != "" {
			t.Errorf("there are two rows for %s", r[1])
		}
		rows[r[1]] = r[2]
	}
	for _, m := range required(t) {
		in, found := rows[m.Path]
		switch isIn := slices.Contains(inBinary, m.Path); {
		case m.Indirect:
			continue
		case !found:
			t.Errorf("docs/dependencies.md does not say what %s is for", m.Path)
		case isIn != (in == "yes"):
			t.Errorf("docs/dependencies.md says %q of %s, in the binary is %t", in, m.Path, isIn)
		}
		delete(rows, m.Path)
	}
	for name := range rows {
		t.Errorf("docs/dependencies.md has a reason for %s, which go.mod does not ask for", name)
	}
}
