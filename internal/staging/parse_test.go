package staging_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/staging"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nbroken line\nweb:x:33:34:Web,,,:/srv/web:/bin/false\nodd:x:many:1::/:/\n\n1234:x:77:78::/home/n:/\n"
	group  = "root:x:0:\nwww:x:34:\nlogs:x:40:adm,web\nmore:x:41:web\nother:x:42:webx,xweb\nlogs2:x:40:web\n"
)

func accounts(t *testing.T) staging.Accounts {
	t.Helper()
	dir := t.TempDir()
	a := staging.Accounts{Passwd: filepath.Join(dir, "passwd"), Group: filepath.Join(dir, "group")}
	for path, text := range map[string]string{a.Passwd: passwd, a.Group: group} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestWhoAUserIs(t *testing.T) {
	a := accounts(t)
	web := []uint32{34, 40, 41}
	for text, want := range map[string]staging.User{
		"web":       {UID: 33, GID: 34, Groups: web, Name: "web", Home: "/srv/web"},
		"33":        {UID: 33, GID: 34, Groups: web, Name: "web", Home: "/srv/web"},
		"web:logs":  {UID: 33, GID: 40, Groups: []uint32{40}, Name: "web", Home: "/srv/web"},
		"33:9":      {UID: 33, GID: 9, Groups: []uint32{9}, Name: "web", Home: "/srv/web"},
		"root":      {UID: 0, GID: 0, Groups: []uint32{0}, Name: "root", Home: "/root"},
		"1000":      {UID: 1000, GID: 1000, Groups: []uint32{1000}},
		"1000:1001": {UID: 1000, GID: 1001, Groups: []uint32{1001}},
		"1234":      {UID: 77, GID: 78, Groups: []uint32{78}, Name: "1234", Home: "/home/n"}, // a name comes before a number
	} {
		got, err := a.User(text)
		if err != nil || !sameUser(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func sameUser(a, b staging.User) bool {
	return a.UID == b.UID && a.GID == b.GID && a.Name == b.Name && a.Home == b.Home && slices.Equal(a.Groups, b.Groups)
}

func TestNumbersNeedNoFile(t *testing.T) {
	none := staging.Accounts{Passwd: "/nowhere/passwd", Group: "/nowhere/group"}
	for _, text := range []string{"1000", "1000:1001", "0"} {
		if _, err := none.User(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"web", "web:34", "1000:www"} {
		if _, err := none.User(text); err == nil || !strings.Contains(err.Error(), "/nowhere/") {
			t.Errorf("%q: error %v, want one that names the file", text, err)
		}
	}
}

func TestAUserThatIsNoneIsNamed(t *testing.T) {
	a := accounts(t)
	for text, want := range map[string]string{
		"": "want USER", ":": "want USER", ":www": "want USER", "web:": "want USER",
		"nobody-here": `no user "nobody-here"`, "odd": `no user "odd"`,
		"web:nogroup": `no group "nogroup"`, "-1": `no user "-1"`,
		"4294967295": "too large", "99999999999999999999": "too large", "web:4294967295": "too large",
	} {
		if _, err := a.User(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for text, want := range map[string]string{
		"nofile=1024:2048":              "nofile=1024:2048",
		"nofile=1024":                   "nofile=1024:1024",
		"core=unlimited":                "core=unlimited:unlimited",
		" core=0:-1 ":                   "core=0:unlimited",
		"stack=8388608:infinity":        "stack=8388608:unlimited",
		"nofile=":                       "want NAME=",
		"nofile":                        "want NAME=",
		"=5":                            `no limit ""`,
		"files=5":                       `no limit "files": want one of as, core,`,
		"nofile=2:1":                    "soft limit 2 is above its hard limit 1",
		"nofile=unlimited:5":            "above",
		"nofile=1:2:3":                  "want NAME=",
		"nofile=+5":                     "want NAME=",
		"nofile=0x10":                   "want NAME=",
		"nofile=9999999999999999999999": "want NAME=",
	} {
		got, err := staging.ParseRlimit(text)
		if err == nil && got.String() != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

// As docker update --cpuset-cpus does to a brood that runs.
func TestASlotGetsACPUThatIsAllowedWhenItStarts(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with its affinity
	auto, err := staging.ParseAffinity("auto")
	if err != nil {
		t.Fatal(err)
	}
	first, second := auto.For(1)[0], auto.For(2)[0]
	var only unix.CPUSet
	only.Set(second)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		t.Fatal(err)
	}
	for slot := 1; slot <= 2; slot++ {
		if got := auto.For(slot); !slices.Equal(got, []int{second}) {
			t.Errorf("slot %d gets CPU %v, with %d alone left of %d and %d", slot, got, second, first, second)
		}
	}
}

func TestWhichCPUsASlotGets(t *testing.T) {
	auto, err := staging.ParseAffinity("auto")
	if err != nil {
		t.Fatal(err)
	}
	first := auto.For(1)
	if len(first) != 1 {
		t.Fatalf("the first slot gets %v, want one CPU", first)
	}
	seen := []int{first[0]}
	for slot := 2; auto.For(slot)[0] != first[0]; slot++ {
		seen = append(seen, auto.For(slot)[0])
	}
	all := make([]string, 0, len(seen))
	for _, cpu := range seen {
		all = append(all, strconv.Itoa(cpu))
	}
	list, err := staging.ParseAffinity(strings.Join(all, ","))
	if err != nil || !slices.Equal(list.For(1), seen) || !slices.Equal(list.For(7), seen) {
		t.Errorf("a list of all CPUs gives %v, %v; want %v for each slot", list.For(1), err, seen)
	}
	if got := (staging.Affinity{}).For(3); got != nil {
		t.Errorf("without a setting a slot gets %v", got)
	}
	for text, want := range map[string]string{
		"": "want auto", "x": "want auto", "3-1": "want auto", "1,,2": "want auto", "-1": "want auto", "0-999999": "want auto",
		"65535": "CPU 65535 is not among those that brood may use, ",
	} {
		if _, err := staging.ParseAffinity(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzParseUser(f *testing.F) {
	for _, seed := range []string{"web", "1000:1000", "web:logs", ":", "4294967295"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	a := staging.Accounts{Passwd: filepath.Join(dir, "passwd"), Group: filepath.Join(dir, "group")}
	for path, text := range map[string]string{a.Passwd: passwd, a.Group: group} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := a.User(text)
		if err == nil && (u.UID == 1<<32-1 || u.GID == 1<<32-1 || !slices.Contains(u.Groups, u.GID)) {
			t.Errorf("%q: %+v", text, u)
		}
		if err == nil && u.UID == 0 && u.Name != "root" {
			t.Errorf("%q is root: %+v", text, u)
		}
	})
}

func FuzzParseRlimit(f *testing.F) {
	for _, seed := range []string{"nofile=1:2", "core=unlimited", "as=-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := staging.ParseRlimit(text)
		if err != nil {
			return
		}
		if again, err := staging.ParseRlimit(l.String()); err != nil || again != l || l.Soft > l.Hard {
			t.Errorf("%q became %q, which is %v, %v", text, l, again, err)
		}
	})
}

func FuzzParseAffinity(f *testing.F) {
	for _, seed := range []string{"auto", "0-1,1", "0", "5-", "0-65535"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := staging.ParseAffinity(text)
		if err == nil && (len(a.For(1)) == 0 || !slices.IsSorted(a.For(1))) {
			t.Errorf("%q gives slot 1 the CPUs %v", text, a.For(1))
		}
	})
}
