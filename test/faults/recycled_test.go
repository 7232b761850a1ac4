package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// recycling is PID 1 of a small world: a brood, whose directory is full of the
// PIDs of processes that have ended, and strangers that are born all the time
// under the same numbers. Whoever of them is signalled writes it down.
const recycling = `
echo 99 >/proc/sys/kernel/ns_last_pid || exit 3
again() {
	while test ! -e $D/over; do
		echo 99 >/proc/sys/kernel/ns_last_pid
		sleep 0.1
	done
}
again &
strangers() {
	while test ! -e $D/over; do
		sh -c 'trap "echo $$ >>$D/hit" TERM INT HUP; n=0; while test $n -lt 4000; do n=$((n+1)); done'
	done
}
for i in 1 2 3 4 5 6; do strangers & done
round=0
while test $round -lt $ROUNDS; do
	round=$((round+1))
	brood --pidfile $D/run/brood.pid --metrics-addr none --stop-timeout 5s -n3 -- sleep 300 2>>$D/log &
	brood=$!
	until test -s $D/run/brood.3.pid; do sleep 0.01; done
	i=100
	while test $i -lt 400; do echo $i; i=$((i+1)); done | while read i; do echo $i >$D/run/brood.$i.pid; done
	touch -d '1 hour ago' $D/run/brood.???.pid
	kill -TERM $brood
	wait $brood
	echo $? >>$D/codes
	rm -f $D/run/brood.???.pid
done
touch $D/over
wait
`

// Ten times a second the kernel begins to count at 100 again, and each number is
// somebody else's. A file that names it is older than whoever has it, and nobody
// is signalled for it.
func TestNoRecycledPIDIsEverSignalled(t *testing.T) {
	t.Parallel()
	m := harness.Mode{PID1: true}
	m.Need(t)
	if !exists("/proc/sys/kernel/ns_last_pid") {
		harness.Missing(t, "this kernel does not let anybody choose PIDs (CONFIG_CHECKPOINT_RESTORE)")
	}
	worlds := 1
	if harness.Full() {
		worlds = 20
	}
	for range worlds {
		recyclePIDs(t, m)
	}
}

func recyclePIDs(t *testing.T, m harness.Mode) {
	t.Helper()
	const rounds = 5
	dir := t.TempDir()
	w := m.StartWith(t, harness.Options{
		Program: "sh", Args: []string{"-c", recycling}, LeavesFiles: true, Patience: muchPatience,
		Env: []string{"D=" + dir, fmt.Sprint("ROUNDS=", rounds)},
	})
	w.WantCode(t, 0)
	if hit := harness.Content(filepath.Join(dir, "hit")); hit != "" {
		t.Errorf("strangers were signalled: %q; brood said:\n%s", hit, harness.Content(filepath.Join(dir, "log")))
	}
	codes := harness.Content(filepath.Join(dir, "codes"))
	if strings.Count(codes, "0\n") != rounds || len(codes) != 2*rounds {
		t.Errorf("brood ended with %q; it said:\n%s", codes, harness.Content(filepath.Join(dir, "log")))
	}
}

// A hook that takes all the memory is killed by the kernel, and nobody else: the
// code is the hook's.
func TestAHookThatRunsOutOfMemory(t *testing.T) {
	t.Parallel()
	_, enter := memoryGroup(t, 64<<20)
	b := harness.Mode{}.StartWith(t, harness.Options{
		Program: "sh", LeavesFiles: true, Patience: muchPatience,
		Args: []string{"-c", "echo $$ >" + enter + " && exec brood --metrics-addr none --pidfile " + filepath.Join(t.TempDir(), "brood.pid") +
			` -n2 --stop-timeout 20s --finish-timeout 15s --finish "sh -c 'exec tail /dev/zero'" -- sleep 300`},
	})
	b.WaitRunning(2)
	b.Stop(t, 137)
	b.WaitLog("hook failed", "hook=finish", "code=137")
	b.WaitLog("msg=exiting", "code=137", "hook=finish")
}

// memoryGroup is a control group of so many bytes, and the file to enter it.
func memoryGroup(t *testing.T, limit int) (dir, enter string) {
	t.Helper()
	name := "brood-faults-" + strconv.Itoa(os.Getpid())
	for _, group := range []struct{ parent, limit, swap string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max"},
	} {
		dir = filepath.Join(group.parent, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			harness.Until(t, "the control group is empty", func() bool { return os.Remove(dir) == nil || !exists(dir) })
		})
		if os.WriteFile(filepath.Join(dir, group.limit), []byte(strconv.Itoa(limit)), 0o644) != nil {
			continue
		}
		swap := "0"
		if strings.HasPrefix(group.swap, "memory.memsw") {
			swap = strconv.Itoa(limit)
		}
		_ = os.WriteFile(filepath.Join(dir, group.swap), []byte(swap), 0o644) // where swap is counted
		return dir, filepath.Join(dir, "cgroup.procs")
	}
	harness.Missing(t, "no control group with a limit on memory can be made here")
	return "", ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
