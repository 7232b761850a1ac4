package multiproc

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fill makes a directory with files.
func fill(t *testing.T, names ...string) Dir {
	t.Helper()
	d := Dir{Path: t.TempDir(), Owners: []uint32{uint32(os.Getuid())}}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(d.Path, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d Dir) list(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func ofClients() []string {
	return []string{
		"counter_1.db", "histogram_12.db", "summary_3.db", "gauge_all_4.db", "gauge_liveall_5.db", "gauge_min_6.db", "gauge_livemin_7.db",
		"gauge_max_8.db", "gauge_livemax_9.db", "gauge_sum_10.db", "gauge_livesum_11.db", "gauge_mostrecent_12.db", "gauge_livemostrecent_13.db",
		"metric_http_requests_total___14.bin", "metric_a:b___15.bin",
	}
}

func ofOthers() []string {
	return []string{
		"counter_.db", "counter_0.db", "counter_01.db", "counter_-1.db", "counter_1.db.bak", "xcounter_1.db", "counter_1-0.db", "Counter_1.db",
		"gauge_1.db", "gauge_live_1.db", "gauge_livefoo_1.db", "metric___1.bin", "metric_a_1.bin", "metric_a-b___1.bin", "metric_a___x.bin",
		"data.db", ".counter_1.db", "counter_1.db\n", "counter_1.DB",
	}
}

func TestOnlyTheClientsFilesAreWiped(t *testing.T) {
	t.Parallel()
	d := fill(t, append(ofClients(), ofOthers()...)...)
	n, err := d.Wipe()
	if err != nil || n != len(ofClients()) {
		t.Errorf("%d files, %v", n, err)
	}
	if got, want := d.list(t), slices.Sorted(slices.Values(ofOthers())); !slices.Equal(got, want) {
		t.Errorf("left are %q,\nwant    %q", got, want)
	}
}

func TestManyFilesAreAllWiped(t *testing.T) {
	t.Parallel()
	var names []string
	for pid := 1; pid <= 3000; pid++ {
		names = append(names, "counter_"+strconv.Itoa(pid)+".db")
	}
	d := fill(t, names...)
	if n, err := d.Wipe(); err != nil || n != 3000 || len(d.list(t)) != 0 {
		t.Errorf("%d files, %v, %d left", n, err, len(d.list(t)))
	}
}

func TestOnlyRegularFilesOfTheOwnersAreRemoved(t *testing.T) {
	t.Parallel()
	d := fill(t, "counter_1.db", "target")
	target := filepath.Join(d.Path, "target")
	for _, err := range []error{
		os.Symlink(target, filepath.Join(d.Path, "counter_2.db")),
		os.Mkdir(filepath.Join(d.Path, "counter_3.db"), 0o755),
		unix.Mkfifo(filepath.Join(d.Path, "counter_4.db"), 0o644),
		os.Symlink(target, filepath.Join(d.Path, "gauge_liveall_5.db")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	strange := Dir{Path: d.Path, Owners: []uint32{uint32(os.Getuid()) + 1}}
	if n, err := strange.Wipe(); n != 0 || err != nil {
		t.Errorf("%d files of another user, %v", n, err)
	}
	if n, err := d.Wipe(); n != 1 || err != nil {
		t.Errorf("%d files, %v", n, err)
	}
	if err := d.Bury(5, time.Now()); err != nil {
		t.Error(err)
	}
	if got := d.list(t); !slices.Equal(got, []string{"counter_2.db", "counter_3.db", "counter_4.db", "gauge_liveall_5.db", "target"}) {
		t.Errorf("left are %q", got)
	}
}

func TestADirectoryBehindALinkIsRefused(t *testing.T) {
	t.Parallel()
	d := fill(t, "counter_1.db")
	link := Dir{Path: filepath.Join(t.TempDir(), "link"), Owners: d.Owners}
	if err := os.Symlink(d.Path, link.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := link.Wipe(); err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("the error is %v", err)
	}
	if err := link.Bury(1, time.Now()); err == nil {
		t.Error("no error")
	}
	if len(d.list(t)) != 1 {
		t.Error("the file is gone")
	}
}

func TestADirectoryThatIsNotThereIsClean(t *testing.T) {
	t.Parallel()
	d := Dir{Path: filepath.Join(t.TempDir(), "later")}
	if n, err := d.Wipe(); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := d.Bury(1, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestOnlyLiveGaugesOfADeadProcessAreBuried(t *testing.T) {
	t.Parallel()
	left := []string{"counter_7.db", "gauge_all_7.db", "gauge_liveall_77.db", "gauge_max_7.db", "histogram_7.db"}
	d := fill(t, append([]string{"gauge_liveall_7.db", "gauge_livemax_7.db", "gauge_livemin_7.db", "gauge_livemostrecent_7.db", "gauge_livesum_7.db"}, left...)...)
	if err := d.Bury(7, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := d.list(t); !slices.Equal(got, left) {
		t.Errorf("left are %q", got)
	}
}

// The number of a dead process may be another's by now.
func TestWhatWasWrittenAfterTheDeathStays(t *testing.T) {
	t.Parallel()
	d := fill(t, "gauge_liveall_7.db")
	if err := d.Bury(7, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if len(d.list(t)) != 1 {
		t.Error("it is gone")
	}
}
