package fanout

import (
	"math"
	"sync"

	"github.com/brood-init/brood/internal/cgroup"
	"github.com/brood-init/brood/reaper"
)

// oomWatch tells whose SIGKILL came from the out-of-memory killer: exit code 137
// alone proves nothing. The kernel counts its victims per control group, and
// raises the count before the victim is dead; each rise explains one death.
type oomWatch struct {
	mu        sync.Mutex
	group     *cgroup.Group // nil when the kernel does not tell
	explained uint64
}

// prime notes the victims so far. Deaths before that stay unexplained. The
// result says whether the kernel ends all processes with the first.
func (o *oomWatch) prime(root cgroup.Root) (all bool) {
	group, err := cgroup.Locate(root)
	if err != nil {
		return false
	}
	kills, ok := group.OOMKills()
	if !ok {
		return group.OOMGroup()
	}
	o.mu.Lock()
	o.group, o.explained = group, kills
	o.mu.Unlock()
	return group.OOMGroup()
}

// explains reports whether a process that ended so was a victim, or had a child
// that was: a shell that waits for its command ends with 137 then.
func (o *oomWatch) explains(s reaper.Status) bool {
	return s.ExitCode() == codeKilled && o.take(1) == 1
}

// rest takes all victims that no death has been put down to yet.
func (o *oomWatch) rest() uint64 { return o.take(math.MaxUint64) }

// take takes up to n victims that no death has been put down to yet.
func (o *oomWatch) take(n uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.group == nil {
		return 0
	}
	kills, ok := o.group.OOMKills()
	if !ok || kills <= o.explained {
		return 0
	}
	n = min(n, kills-o.explained)
	o.explained += n
	return n
}
