package pidfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPathPutsTheIndexBeforeTheLastDotOfTheName(t *testing.T) {
	for _, tt := range []struct{ setting, one, master string }{
		{"/run/web.pid", "/run/web.1.pid", "/run/web.master.pid"},
		{"/run/web", "/run/web.1", "/run/web.master"},
		{"/run/.pid", "/run/.1.pid", "/run/.master.pid"},
		{"/run/web.blue.pid", "/run/web.blue.1.pid", "/run/web.blue.master.pid"},
		{"/run.d/web", "/run.d/web.1", "/run.d/web.master"},
		{"/run/web.", "/run/web.1.", "/run/web.master."},
		{"/run//x/../web+([.pid", "/run/web+([.1.pid", "/run/web+([.master.pid"},
		{"/web.pid", "/web.1.pid", "/web.master.pid"},
		{"/run/..pid", "/run/..1.pid", "/run/..master.pid"},
	} {
		p := parsed(t, tt.setting)
		if p.Path(1) != tt.one || p.MasterPath() != tt.master {
			t.Errorf("%s: got %s and %s, want %s and %s", tt.setting, p.Path(1), p.MasterPath(), tt.one, tt.master)
		}
		if p.String() != filepath.Clean(tt.setting) || p.Dir() != filepath.Dir(p.String()) {
			t.Errorf("%s: got %s in %s", tt.setting, p, p.Dir())
		}
		if again := parsed(t, p.String()); again != p {
			t.Errorf("%s: read again it is %s", p, again)
		}
	}
}

func TestARelativeSettingStaysWhereItWasRead(t *testing.T) {
	there := t.TempDir()
	t.Chdir(there)
	p := parsed(t, "web.pid")
	t.Chdir("/")
	if want := filepath.Join(there, "web.3.pid"); p.Path(3) != want {
		t.Errorf("got %s, want %s", p.Path(3), want)
	}
}

func TestParseRefusesWhatIsNoFileName(t *testing.T) {
	for _, setting := range []string{"", "/", "/run/", ".", "..", "/run/.", "/run/..", "web\x00.pid", "/run/" + strings.Repeat("x", 250)} {
		if p, err := Parse(setting); err == nil {
			t.Errorf("%q: got %s", setting, p)
		} else if !strings.HasPrefix(err.Error(), "cannot use ") {
			t.Errorf("%q: %v", setting, err)
		}
	}
	longest := parsed(t, "/run/"+strings.Repeat("x", longestName-roomForTemp))
	if n := len(longest.tempName(1<<31-1, 1<<64-1)); n > longestName {
		t.Errorf("a temporary file's name has %d bytes", n)
	}
}

func TestIndexIsExact(t *testing.T) {
	for _, tt := range []struct {
		setting, name string
		index         int // -1: no match
	}{
		{"web.pid", "web.0.pid", 0},
		{"web.pid", "web.7.pid", 7},
		{"web.pid", "web.2147483647.pid", 2147483647},
		{"web", "web.12", 12},
		{".pid", ".1.pid", 1},
		{"web+[.pid", "web+[.1.pid", 1},

		{"web", "web2.1.pid", -1},
		{"web", "web.1.pid", -1},
		{"web", "web.1.log", -1},
		{"web.pid", "web2.1.pid", -1},
		{"web.pid", "web.1.log", -1},
		{"web.pid", "web.1.pid.bak", -1},
		{"web.pid", "web.1.pid~", -1},
		{"web.pid", "web.1.pid\n", -1},
		{"web.pid", "xweb.1.pid", -1},
		{"x.pid", "x.1.pid.bak", -1},
		{"web.pid", "web.pid", -1},
		{"web.pid", "web..pid", -1},
		{"web.pid", "web.01.pid", -1},
		{"web.pid", "web.00.pid", -1},
		{"web.pid", "web.+1.pid", -1},
		{"web.pid", "web.-1.pid", -1},
		{"web.pid", "web.-0.pid", -1},
		{"web.pid", "web.1_0.pid", -1},
		{"web.pid", "web.0x1.pid", -1},
		{"web.pid", "web. 1.pid", -1},
		{"web.pid", "web.１.pid", -1},
		{"web.pid", "web.18446744073709551617.pid", -1},
		{"web.pid", "web.master.pid", -1},
		{"web.pid", "web.blue.1.pid", -1},
		{"web.pid", "webx1.pid", -1},
		{"web.pid", "", -1},
	} {
		i, ok := parsed(t, "/run/"+tt.setting).Index(tt.name)
		if ok != (tt.index >= 0) || ok && i != tt.index {
			t.Errorf("%s: %q is %d, %v, want %d", tt.setting, tt.name, i, ok, tt.index)
		}
	}
}

func TestTemporaryFilesMatchNoPatternAndAreFoundAgain(t *testing.T) {
	for _, setting := range []string{"/run/web.pid", "/run/web", "/run/.pid", "/run/web-1.tmp"} {
		p := parsed(t, setting)
		temp := p.tempName(4242, 7)
		if pid, ok := p.tempWriter(temp); !ok || pid != 4242 {
			t.Errorf("%s: %s was written by %d, %v", p, temp, pid, ok)
		}
		for _, other := range []string{setting, "/run/" + temp, "/run/." + filepath.Base(setting) + ".tmp", "/run/." + filepath.Base(setting)} {
			if i, ok := parsed(t, other).Index(temp); ok {
				t.Errorf("%s takes the temporary file %s for number %d", other, temp, i)
			}
		}
	}
	p := parsed(t, "/run/web.pid")
	for _, name := range []string{
		".web.pid.1-.tmp", ".web.pid.-1.tmp", ".web.pid.1.tmp", ".web.pid.0-1.tmp", ".web.pid.4194305-1.tmp",
		".web.pid.1-1.tmp~", ".web2.pid.1-1.tmp", ".web.pid.tmp", "web.1.pid",
	} {
		if pid, ok := p.tempWriter(name); ok {
			t.Errorf("%s was written by %d", name, pid)
		}
	}
}

func TestParsePID(t *testing.T) {
	for content, want := range map[string]int{
		"1": 1, "2\n": 2, "4194304": 4194304, "77\r\n": 77, "77 \t\n\n": 77,
		"123456" + strings.Repeat("\n", mostBytes-6): 123456, "123456" + strings.Repeat("\n", mostBytes-5): 0,
		"": 0, "\n": 0, " ": 0, "0": 0, "-1": 0, "-1\n": 0, "+5": 0, "007": 0, " 7": 0, "7 8": 0, "7\n8\n": 0,
		"4194305": 0, "99999999999999999999": 0, "pid": 0, "7\x00": 0, "\x00\x00": 0, "1e3": 0, "0x10": 0, "1_000": 0, "７": 0,
	} {
		got, err := parsePID([]byte(content))
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %v, want %d", content, got, err, want)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add("web.pid", "web.1.pid")
	f.Add("web", "web.12")
	f.Add(".pid", ".0.pid")
	f.Add("web.pid", "web.1.pid.bak")
	f.Add("web.pid", ".web.pid.1-1.tmp")
	f.Fuzz(func(t *testing.T, name, file string) {
		if strings.ContainsRune(name, '/') {
			return
		}
		p, err := Parse("/run/" + name)
		if err != nil {
			return
		}
		if i, ok := p.Index(file); ok && p.name(i) != file {
			t.Errorf("%s takes %q for %d, whose name is %q", p, file, i, p.name(i))
		}
		for _, i := range []int{0, 1, 10, 1<<31 - 1} {
			if j, ok := p.Index(filepath.Base(p.Path(i))); !ok || j != i {
				t.Errorf("%s: %s is %d, %v, want %d", p, p.Path(i), j, ok, i)
			}
		}
		if _, ok := p.Index(filepath.Base(p.MasterPath())); ok {
			t.Errorf("%s takes the master's file for a process", p)
		}
		if pid, ok := p.tempWriter(file); ok && !strings.HasPrefix(file, strings.TrimSuffix(p.tempName(pid, 0), "0"+tempExt)) {
			t.Errorf("%s: %q was written by %d", p, file, pid)
		}
	})
}

func FuzzParsePID(f *testing.F) {
	for _, seed := range []string{"1\n", "4194304", "0", "-1", "7\x00", "12 34", "\n\n", "18446744073709551617"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		pid, err := parsePID(content)
		if err != nil {
			return
		}
		if pid < 1 || pid > highestPID || len(content) > mostBytes {
			t.Errorf("%q is PID %d", content, pid)
		}
		if again, err := parsePID([]byte(strings.TrimRight(string(content), " \t\r\n") + "\n")); err != nil || again != pid {
			t.Errorf("%q is PID %d, and then %d, %v", content, pid, again, err)
		}
	})
}

func FuzzParseNamespace(f *testing.F) {
	f.Add("mnt:[4026531832]")
	f.Add("mnt:[]")
	f.Add("mnt:[/../]")
	f.Fuzz(func(t *testing.T, link string) {
		if ns := parseNamespace(link); ns != "" && (link != "mnt:["+ns+"]" || strings.Trim(ns, "0123456789") != "") {
			t.Errorf("%q is namespace %q", link, ns)
		}
	})
}

func TestMountNamespaceOfThisProcess(t *testing.T) {
	link, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Skip("no namespaces here:", err)
	}
	if ns := MountNamespace(); "mnt:["+ns+"]" != link {
		t.Errorf("got %q from %q", ns, link)
	}
}
