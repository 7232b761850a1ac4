package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhetherAllDieWhenOneRunsOutOfMemory(t *testing.T) {
	for _, test := range []struct {
		fixture, file, value string
		want                 bool
	}{
		{"usage-v2", "sys/fs/cgroup/app/memory.oom.group", "1\n", true},
		{"usage-v2", "sys/fs/cgroup/app/memory.oom.group", "0\n", false},
		{"usage-v2", "sys/fs/cgroup/memory.oom.group", "1\n", true},
		{"usage-v2", "sys/fs/cgroup/app/memory.oom.group", "", false},
		{"usage-v1", "sys/fs/cgroup/memory/memory.oom.group", "1\n", false},
		{"no-cgroups", "nothing", "1\n", false},
	} {
		root := unpack(t, test.fixture)
		if err := os.WriteFile(filepath.Join(string(root), test.file), []byte(test.value), 0o644); err != nil {
			t.Fatal(err)
		}
		g, _ := Locate(root) // of no groups there is nothing to read
		if got := g.OOMGroup(); got != test.want {
			t.Errorf("%s, %s is %q: %v", test.fixture, test.file, test.value, got)
		}
	}
}
