package cgroup

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	type answer struct {
		value any
		fails bool
	}
	ask := func(v any, err error) answer { return answer{v, err != nil} }
	limit := func(s string) answer { v, err := parseLimit([]byte(s)); return ask(v, err) }
	quota := func(s string) answer { v, err := parseQuota([]byte(s)); return ask(v, err) }
	cpuMax := func(s string) answer { v, err := parseCPUMax([]byte(s)); return ask(v, err) }
	list := func(s string) answer { v, err := parseCPUList([]byte(s)); return ask(v, err) }
	total := func(s string) answer { v, err := parseMemTotal([]byte(s)); return ask(v, err) }

	for _, c := range []struct {
		name  string
		parse func(string) answer
		text  string
		want  any
		fails bool
	}{
		{"no limit of v2", limit, "max\n", uint64(0), false},
		{"no limit of v1 with pages of 4 KiB", limit, "9223372036854771712\n", uint64(0), false},
		{"no limit of v1 with pages of 64 KiB", limit, "9223372036854710272\n", uint64(0), false},
		{"a limit", limit, "67108864\n", uint64(67108864), false},
		{"a limit of nothing is still one", limit, "0\n", uint64(1), false},
		{"a limit beyond 64 bits", limit, "18446744073709551616\n", uint64(0), true},
		{"a negative limit", limit, "-1\n", uint64(0), true},
		{"an empty limit", limit, "", uint64(0), true},

		{"no quota", quota, "-1\n", uint64(0), false},
		{"a quota", quota, "50000\n", uint64(50000), false},
		{"no number", quota, "5e4\n", uint64(0), true},

		{"no quota of v2", cpuMax, "max 100000\n", 0.0, false},
		{"a quota of v2", cpuMax, "250000 100000\n", 2.5, false},
		{"a tiny one", cpuMax, "1000 1000000\n", 0.001, false},
		{"without a period", cpuMax, "250000\n", 0.0, true},
		{"a period of nothing", cpuMax, "250000 0\n", 0.0, true},
		{"a word", cpuMax, "most 100000\n", 0.0, true},

		{"no CPU", list, "\n", 0, false},
		{"one", list, "7\n", 1, false},
		{"ranges", list, "0-3,7,9-10\n", 7, false},
		{"backwards", list, "3-0\n", 0, true},
		{"open", list, "3-\n", 0, true},
		{"far too many", list, "0-99999999999\n", 0, true},
		{"far too often", list, strings.Repeat("0-1048575,", 3) + "1", 0, true},

		{"the machine's memory", total, "MemTotal:       24684084 kB\nMemFree: 1 kB\n", uint64(24684084) * 1024, false},
		{"not on the first line", total, "Mem: 3\nMemTotal: 4 kB\n", uint64(4096), false},
		{"another unit", total, "MemTotal: 4 MB\n", uint64(0), true},
		{"too much", total, "MemTotal: 18446744073709551615 kB\n", uint64(0), true},
		{"nowhere", total, "", uint64(0), true},
	} {
		if got := c.parse(c.text); got.value != c.want || got.fails != c.fails {
			t.Errorf("%s: %q gives %v (fails: %v), want %v (%v)", c.name, c.text, got.value, got.fails, c.want, c.fails)
		}
	}
}

func TestTheWayFromTheMountToTheGroup(t *testing.T) {
	for _, c := range []struct {
		group, root string
		path        string
		whole, ok   bool
	}{
		{"/", "/", "", true, true},
		{"/a/b", "/", "/a/b", true, true},
		{"/docker/1", "/docker/1", "", true, true},
		{"/docker/1/sub", "/docker/1", "/sub", true, true},
		{"/docker/12", "/docker/1", "", false, false}, // a name is no prefix of another
		{"/docker", "/docker/1", "", false, false},
		{"/", "/..", "", false, true},              // its name in the parent is unknown
		{"/x", "/../..", "", false, true},          //
		{"/../sib", "/..", "/sib", true, true},     //
		{"/../sib", "/../sib", "", true, true},     //
		{"/../sib", "/../other", "", false, false}, //
		{"/../sib", "/", "", false, false},         // moved out of the namespace
		{"/../../x", "/..", "", false, false},      //
		{"/x", "/../other", "", false, false},      //
		{"/a//b/", "/a/", "/b", true, true},        //
		{"/a/../b", "/", "", false, false},         // the kernel never writes this
		{"/a/./b", "/", "", false, false},          //
		{"", "/", "", false, false},                // no line for it
		{"/..a/...", "/", "/..a/...", true, true},  // names, if odd ones
		{"/../..", "/../../..", "", false, true},   //
		{"/../..", "/../..", "", true, true},       //
		{"/../../deep/er", "/../../deep", "/er", true, true},
	} {
		group, ok := locate(c.group)
		root, ok2 := locate(c.root)
		path, whole := "", false
		if ok = ok && ok2; ok {
			path, whole, ok = group.within(root)
		}
		if path != c.path || whole != c.whole || ok != c.ok {
			t.Errorf("%q within %q: %q %v %v, want %q %v %v", c.group, c.root, path, whole, ok, c.path, c.whole, c.ok)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, seed := range []string{"max\n", "-1\n", "150000 100000\n", "0-3,7\n", "MemTotal: 1 kB\n", "9223372036854771712\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseCPUMax(b); !(v >= 0) || err != nil && v != 0 {
			t.Errorf("cpu.max %q: %v, %v", b, v, err)
		}
		if v, err := parseCPUList(b); v < 0 || v > 1<<20 || err != nil && v != 0 {
			t.Errorf("cpus %q: %v, %v", b, v, err)
		}
		if v, err := parseLimit(b); v >= 1<<62 || err != nil && v != 0 {
			t.Errorf("limit %q: %v, %v", b, v, err)
		}
		if v, err := parseQuota(b); err != nil && v != 0 {
			t.Errorf("quota %q: %v, %v", b, v, err)
		}
		if v, err := parseMemTotal(b); v%1024 != 0 || err != nil && v != 0 {
			t.Errorf("memory %q: %v, %v", b, v, err)
		}
	})
}

func FuzzMembership(f *testing.F) {
	f.Add([]byte("3:cpu,cpuacct:/docker/1"))
	f.Add([]byte("0::/../.."))
	f.Fuzz(func(t *testing.T, line []byte) {
		var m membership
		m.add(line)
		for _, path := range append(m.v1[:], m.v2) {
			if path != "" && path[0] != '/' {
				t.Errorf("%q: path %q", line, path)
			}
		}
	})
}

// No content leads out of the mount: the path never climbs.
func FuzzWithin(f *testing.F) {
	f.Add("/docker/1/x", "/docker/1")
	f.Add("/../..", "/..")
	f.Fuzz(func(t *testing.T, group, root string) {
		g, ok := locate(group)
		r, ok2 := locate(root)
		if !ok || !ok2 {
			return
		}
		path, whole, ok := g.within(r)
		if !ok && (path != "" || whole) || path != "" && path[0] != '/' {
			t.Errorf("%q %q: %q %v %v", group, root, path, whole, ok)
		}
		if slices.ContainsFunc(strings.Split(path, "/"), func(e string) bool { return e == ".." || e == "." }) {
			t.Errorf("%q %q: %q climbs", group, root, path)
		}
	})
}

func FuzzMount(f *testing.F) {
	f.Add([]byte(`36 35 0:30 /a\040b /mnt rw shared:1 - cgroup cgroup rw,cpu`))
	f.Add([]byte(`29 23 0:26 / /sys/fs/cgroup rw - cgroup2  rw`))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		own := membership{v2: "/a b/c", v1: [controllers]string{"/", "/x", "/../y", ""}}
		seen := view{own: &own}
		seen.add(line)
		seen.version()
		for c := range controllers {
			if p := seen.place(c); p.found && strings.HasSuffix(p.mount, "/") {
				t.Errorf("%q: %+v", line, p)
			}
		}
		if !bytes.Equal(before, line) {
			t.Errorf("%q was changed to %q", before, line)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add([]byte(`/a\040b\134c\011\012`))
	f.Add([]byte(`\`))
	f.Add([]byte(`\777\0`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := unescape(b); len(got) > len(b) {
			t.Errorf("%q grew to %q", b, got)
		}
		// What the kernel would escape comes back as it was.
		escaped := bytes.NewBuffer(nil)
		for _, c := range b {
			if strings.IndexByte(" \t\n\\#", c) >= 0 {
				escaped.WriteString("\\")
				escaped.Write([]byte{'0' + c>>6, '0' + c>>3&7, '0' + c&7})
			} else {
				escaped.WriteByte(c)
			}
		}
		if got := unescape(escaped.Bytes()); !bytes.Equal(got, b) {
			t.Errorf("%q comes back as %q", b, got)
		}
	})
}

// However the bytes arrive, the lines that fit are those that are there.
func FuzzSplitLines(f *testing.F) {
	f.Add([]byte("one\ntwo\n\nthree and more\nend"), 8, 3)
	f.Fuzz(func(t *testing.T, content []byte, space, step int) {
		space, step = 2+space&0xff, 1+step&0xff
		var want [][]byte
		for text := range bytes.Lines(content) {
			if line := bytes.TrimSuffix(text, []byte{'\n'}); len(line) < space {
				want = append(want, line)
			}
		}
		var got [][]byte
		from := bytes.NewReader(content)
		err := splitLines(func(p []byte) (int, error) {
			n, err := from.Read(p[:min(len(p), step)])
			if err == io.EOF {
				err = nil
			}
			return n, err
		}, make([]byte, space), 1<<30, func(line []byte) bool {
			got = append(got, bytes.Clone(line))
			return true
		})
		if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%q in %d by %d: %q, want %q (%v)", content, space, step, got, want, err)
		}
	})
}
