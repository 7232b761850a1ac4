package cgroup

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const helperVariable = "BROOD_TEST_CGROUP_HELPER"

// TestMain is also the process that is put into groups: it waits until its
// stdin ends, does what the variable says, and prints its limits.
func TestMain(m *testing.M) {
	role, isHelper := os.LookupEnv(helperVariable)
	if !isHelper {
		os.Exit(m.Run())
	}
	var one [1]byte
	_, _ = os.Stdin.Read(one[:])
	if role == "unshare" {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	limits, err := Read("/", func() (int, error) { return 64, nil })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(limits); err != nil {
		os.Exit(1)
	}
}

// limitsIn starts the helper and moves it to dir before it looks.
func limitsIn(t *testing.T, dir, role string) (limits Limits) {
	t.Helper()
	helper := exec.CommandContext(t.Context(), os.Args[0])
	helper.Env = append(os.Environ(), helperVariable+"="+role)
	var out, complaint strings.Builder
	helper.Stdout, helper.Stderr = &out, &complaint
	gate, err := helper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	moved := os.WriteFile(dir+"/cgroup.procs", fmt.Append(nil, helper.Process.Pid), 0o644)
	_ = gate.Close()
	if err := helper.Wait(); err != nil {
		t.Fatalf("helper: %v: %s", err, complaint.String())
	}
	if moved != nil {
		t.Fatal(moved)
	}
	if err := json.Unmarshal([]byte(out.String()), &limits); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	return limits
}

// v1Groups makes a group and one in it under the real cpu hierarchy, both gone
// after the test.
func v1Groups(t *testing.T) (outer, inner string) {
	t.Helper()
	var own membership
	r := reader{}
	r.lines("/proc/self/cgroup", own.add)
	seen := view{own: &own}
	r.lines("/proc/self/mountinfo", seen.add)
	at := seen.place(cpu)
	if !at.found || at.v2 || !at.whole {
		t.Skipf("no v1 cpu hierarchy to make groups in (%s)", seen.version())
	}
	outer = fmt.Sprintf("%s%s/brood-test-%d", at.mount, at.path, os.Getpid())
	inner = filepath.Join(outer, "inner")
	for _, dir := range []string{outer, inner} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("cannot make control groups here: %v", err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Errorf("left behind: %v", err)
			}
		})
	}
	return outer, inner
}

func setQuota(t *testing.T, dir, quota string) {
	t.Helper()
	if err := os.WriteFile(dir+"/cpu.cfs_quota_us", []byte(quota), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheKernelsOwnGroups(t *testing.T) {
	outer, inner := v1Groups(t)
	setQuota(t, outer, "250000")
	for _, c := range []struct {
		name, inner, role string
		path              string
		quota             float64
		n                 int
	}{
		{name: "the parent alone has a quota", inner: "-1", path: outer, quota: 2.5, n: 3},
		{name: "the group's own is smaller", inner: "110000", path: inner, quota: 1.1, n: 2},
		// The group is "/" to itself now, and the mount's root "/.." or more: what
		// the real root says is all that can be known, and it has no quota.
		{name: "a cgroup namespace hides both", inner: "110000", role: "unshare", n: 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			setQuota(t, inner, c.inner)
			limits := limitsIn(t, inner, c.role)
			wantPath := ""
			if c.path != "" {
				wantPath = c.path + "/cpu.cfs_quota_us"
			}
			if limits.Quota != c.quota || limits.QuotaPath != wantPath {
				t.Errorf("limits %+v, want %v by %q", limits, c.quota, wantPath)
			}
			limits.Affinity = 64 // not the cpuset of this machine
			if d := Count(CountInput{Requested: Auto, Limits: limits}); d.N != c.n {
				t.Errorf("%+v, want %d", d, c.n)
			}
		})
	}
}

func TestTheKernelsOwnMask(t *testing.T) {
	var old unix.CPUSet
	if err := unix.SchedGetaffinity(unix.Getpid(), &old); err != nil {
		t.Skip(err)
	}
	if n, err := Affinity(); n != old.Count() || err != nil {
		t.Errorf("got %d, %v; want %d", n, err, old.Count())
	}
}
