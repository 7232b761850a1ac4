package pidfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenMakesTheDirectoryForAllToReachWhateverTheUmask(t *testing.T) {
	top := t.TempDir()
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	openedAt(t, filepath.Join(top, "a", "b", "web.pid"), Options{})
	for _, dir := range []string{"a", "a/b"} {
		st, err := os.Stat(filepath.Join(top, dir))
		if err != nil || st.Mode() != fs.ModeDir|0o755 {
			t.Errorf("%s: mode %v, %v", dir, st.Mode(), err)
		}
	}
}

func TestOpenOnlyLooksWhenToldTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if _, err := Open(parsed(t, dir+"/web.pid"), Options{Existing: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if exists(dir) {
		t.Error("it made the directory")
	}
}

func TestOpenTrustsOnlyADirectoryThatNobodyElseWritesTo(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		o       Options
		remedy  string // empty: trusted
	}{
		{name: "ours", prepare: func(*testing.T, string) {}},
		{name: "ours and private", prepare: chmod(0o700)},
		{name: "group may write", prepare: chmod(0o775), remedy: "chmod go-w"},
		{name: "all may write", prepare: chmod(0o777), remedy: "chmod go-w"},
		{name: "like /tmp", prepare: chmod(0o777 | fs.ModeSticky), remedy: fmt.Sprintf("such as %q", "DIR/brood-"+fmt.Sprint(os.Geteuid())+"/web.pid")},
		{name: "sticky for a group", prepare: chmod(0o775 | fs.ModeSticky), remedy: "chmod go-w"},
		{name: "a link", prepare: func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".real"))
			must(t, os.Symlink(dir+".real", dir))
		}, remedy: "name the directory itself"},
		{name: "somebody's", prepare: chown(12345), remedy: "name another directory"},
		{name: "somebody's, and not the user's", prepare: chown(12345), o: Options{OwnerUID: 12346}, remedy: "name another directory"},
		{name: "the user's", prepare: chown(12345), o: Options{OwnerUID: 12345}},
		{
			name: "the user's, for all to write", prepare: func(t *testing.T, dir string) { chown(12345)(t, dir); chmod(0o777)(t, dir) },
			o: Options{OwnerUID: 12345}, remedy: "chmod go-w",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			must(t, os.Mkdir(dir, 0o755))
			must(t, os.Chmod(dir, 0o755))
			tt.prepare(t, dir)
			d, err := Open(parsed(t, dir+"/web.pid"), tt.o)
			if err == nil {
				d.Close()
			}
			if tt.remedy == "" {
				if err != nil {
					t.Errorf("not trusted: %v", err)
				}
				return
			}
			var why *UntrustedError
			if !errors.Is(err, ErrUntrusted) || !errors.As(err, &why) || !strings.Contains(why.Remedy, strings.ReplaceAll(tt.remedy, "DIR", dir)) {
				t.Errorf("got %v, want %q in it", err, tt.remedy)
			}
		})
	}
}

func TestOpenOfWhatIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "")
	if _, err := Open(parsed(t, file+"/web.pid"), Options{}); !errors.Is(err, unix.ENOTDIR) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(parsed(t, file+"/sub/web.pid"), Options{}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("got %v", err)
	}
}

func TestAMadeDirectoryIsGivenToTheUserWhoWillUseIt(t *testing.T) {
	needRoot(t)
	top := t.TempDir()
	d := openedAt(t, top+"/run/web.pid", Options{OwnerUID: 12345})
	var st unix.Stat_t
	if err := unix.Stat(d.Pattern().Dir(), &st); err != nil || st.Uid != 12345 {
		t.Errorf("uid %d, %v", st.Uid, err)
	}
	openedAt(t, top+"/run/web.pid", Options{OwnerUID: 12345})
}

func TestASwappedDirectoryFoolsNobody(t *testing.T) {
	top := t.TempDir()
	p := parsed(t, top+"/run/web.pid")
	d := openedAt(t, p.String(), Options{})
	worker, decoy := sleeper(t, 0), sleeper(t, 0)

	must(t, os.Rename(top+"/run", top+"/before"))
	must(t, os.Mkdir(top+"/evil", 0o777))
	must(t, os.Symlink("evil", top+"/run"))
	put(t, top+"/evil/web.9.pid", decoy.Process.Pid)
	put(t, top+"/evil/web.1.pid", "mine")

	must(t, d.Write(1, worker.Process.Pid))
	m, err := d.LockMaster(os.Getpid())
	must(t, err)
	if got := get(t, top+"/evil/web.1.pid"); got != "mine" {
		t.Errorf("wrote through the link: %q", got)
	}
	if found := listed(t, d); len(found) != 1 || found[0].PID != worker.Process.Pid {
		t.Errorf("listed %+v", found)
	}
	must(t, d.Remove(1, worker.Process.Pid))
	must(t, m.Release())
	if left, _ := os.ReadDir(top + "/before"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, _ := os.ReadDir(top + "/evil"); len(left) != 2 {
		t.Errorf("in the other directory: %v", left)
	}
}

func TestADirectoryThatIsRemovedIsAProblemAndNoPanic(t *testing.T) {
	d := opened(t, Options{})
	must(t, os.Remove(d.Pattern().Dir()))
	if err := d.Write(1, os.Getpid()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write: %v", err)
	}
	if _, err := d.LockMaster(os.Getpid()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock: %v", err)
	}
	if found, problems := d.List(nil); len(found) != 0 || len(problems) != 1 || problems[0].Kind != Unreadable {
		t.Errorf("list: %v, %v", found, problems)
	}
}

func TestDefaultDirs(t *testing.T) {
	for _, tt := range []struct {
		xdg, ns string
		want    []string
	}{
		{"/run/user/7", "4026531841", []string{"/run/brood", "/run/user/7/brood", "/tmp/brood-7", "/dev/shm/brood-7-4026531841"}},
		{"", "", []string{"/run/brood", "/tmp/brood-7"}},
		{"run/user/7", "1", []string{"/run/brood", "/tmp/brood-7", "/dev/shm/brood-7-1"}},
	} {
		getenv := func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": tt.xdg}[name] }
		if got := DefaultDirs(7, getenv, func() string { return tt.ns }); !slices.Equal(got, tt.want) {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
}

func TestOpenFirstTakesTheFirstThatWillDo(t *testing.T) {
	top := t.TempDir()
	missing := filepath.Join(top, "missing", "brood")
	loose := filepath.Join(top, "loose")
	must(t, os.Mkdir(loose, 0o700))
	must(t, os.Chmod(loose, 0o777))
	link := filepath.Join(top, "link")
	must(t, os.Symlink(top, link))
	file := filepath.Join(top, "file")
	put(t, file, "")
	dirs := []string{missing, loose, filepath.Join(loose, "brood"), link, file}
	if os.Geteuid() == 0 {
		theirs := filepath.Join(top, "theirs")
		must(t, os.Mkdir(theirs, 0o755))
		chown(12345)(t, theirs)
		dirs = append(dirs, theirs, filepath.Join(theirs, "brood"))
	} else {
		readOnly := filepath.Join(top, "readonly")
		must(t, os.Mkdir(readOnly, 0o555))
		dirs = append(dirs, readOnly, "/brood-of-an-unprivileged-test")
	}

	if d, err := OpenFirst(dirs, "brood.pid", Options{}); err == nil {
		t.Fatalf("took %s", d.Pattern())
	} else {
		for _, dir := range dirs {
			if !strings.Contains(err.Error(), filepath.Dir(dir)) {
				t.Errorf("no word about %s in %v", dir, err)
			}
		}
	}
	if exists(missing) || exists(filepath.Dir(missing)) {
		t.Error("it made a parent")
	}
	good := filepath.Join(top, "good")
	d, err := OpenFirst(append(dirs, good, filepath.Join(top, "next")), "brood.pid", Options{})
	must(t, err)
	defer d.Close()
	if d.Pattern().String() != good+"/brood.pid" {
		t.Errorf("took %s", d.Pattern())
	}
	if left, err := os.ReadDir(good); len(left) != 0 || err != nil {
		t.Errorf("the try left %v, %v", left, err)
	}
	if exists(filepath.Join(top, "next")) {
		t.Error("it went on after the first")
	}
}

func TestOpenFirstOnTheRealDefaults(t *testing.T) {
	// Only looks: what lies there on this machine is none of a test's business.
	dirs := DefaultDirs(os.Geteuid(), os.Getenv, MountNamespace)
	d, err := OpenFirst(dirs, "brood.pid", Options{Existing: true})
	if err == nil {
		d.Close()
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrUntrusted) {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func chmod(mode fs.FileMode) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		must(t, os.Chmod(path, mode))
	}
}

func chown(uid int) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		needRoot(t)
		must(t, os.Lchown(path, uid, -1))
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
}
