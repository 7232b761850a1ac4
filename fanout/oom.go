package fanout

import (
	"sync"
	"syscall"

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

// prime notes the victims so far. Deaths before that stay unexplained.
func (o *oomWatch) prime() {
	group, err := cgroup.Locate("/")
	if err != nil {
		return
	}
	kills, ok := group.OOMKills()
	if !ok {
		return
	}
	o.mu.Lock()
	o.group, o.explained = group, kills
	o.mu.Unlock()
}

// explains reports whether a process that ended so was a victim.
func (o *oomWatch) explains(s reaper.Status) bool {
	return s.Signal == syscall.SIGKILL && o.take(1) == 1
}

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
