package statuspage

import (
	"slices"
	"sync"
	"time"

	"github.com/brood-init/brood/fanout"
)

// lastEnds is how many ends of workers are remembered.
const lastEnds = 12

// memory is what no snapshot tells. The engine writes it, readers copy it.
type memory struct {
	mu     sync.Mutex
	ends   []end // oldest first
	hooks  [hookKinds]hook
	reload reload
	reason string // why so many workers are wanted: a cgroup.Decision's
	limits string // the reason that came with the last change of the limits
	byHand bool   // somebody has asked for another number since
}

// told is a copy of the memory.
type told struct {
	ends   []end
	hooks  [hookKinds]hook
	reload reload
	reason string
	byHand bool
}

// end is the end of a worker.
type end struct {
	at     time.Time
	slot   int
	code   int
	signal string
	reason fanout.Reason
	uptime time.Duration
}

const hookKinds = 3

func kinds() [hookKinds]fanout.Kind {
	return [...]fanout.Kind{fanout.KindPrepare, fanout.KindFinish, fanout.KindExitHook}
}

// hook is what is known of a kind of hook.
type hook struct {
	running  int
	runs     int // that have ended
	at       time.Time
	code     int
	timedOut bool
	took     time.Duration
}

// reload is what is known of the last reload.
type reload struct {
	began, ended    time.Time // zero for not yet
	slots, replaced int
	failed          bool
}

func (m *memory) observe(at time.Time, ev fanout.Event) {
	switch ev.(type) {
	case fanout.WorkerExited, fanout.HookStarted, fanout.HookFinished, fanout.ReloadBegan, fanout.ReloadEnded,
		fanout.SlotReplaced, fanout.LimitChanged, fanout.Scaled:
	default:
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch ev := ev.(type) {
	case fanout.WorkerExited:
		if len(m.ends) == lastEnds {
			m.ends = slices.Delete(m.ends, 0, 1)
		}
		e := end{at: at, slot: ev.Slot, code: ev.ExitCode(), reason: ev.Reason, uptime: ev.Uptime}
		if ev.Signal != 0 {
			e.signal = signalName(ev.Signal)
		}
		m.ends = append(m.ends, e)
	case fanout.HookStarted:
		if h := m.hook(ev.Hook); h != nil {
			h.running++
		}
	case fanout.HookFinished:
		if h := m.hook(ev.Hook); h != nil {
			*h = hook{running: max(0, h.running-1), runs: h.runs + 1, at: at, code: ev.Code, timedOut: ev.TimedOut, took: ev.Duration}
		}
	case fanout.ReloadBegan:
		m.reload = reload{began: at, slots: ev.Slots}
	case fanout.SlotReplaced:
		if ev.Cause == fanout.CauseReload {
			m.reload.replaced++
		}
	case fanout.ReloadEnded:
		m.reload.ended, m.reload.replaced, m.reload.slots, m.reload.failed = at, ev.Replaced, ev.Slots, ev.Err != nil
	case fanout.LimitChanged:
		m.limits = ev.Reason
	case fanout.Scaled:
		if m.byHand = ev.Cause != "limits"; !m.byHand {
			m.reason = m.limits
		}
	}
}

func (m *memory) hook(kind fanout.Kind) *hook {
	all := kinds()
	if i := slices.Index(all[:], kind); i >= 0 {
		return &m.hooks[i]
	}
	return nil // a probe
}

func (m *memory) look() told {
	m.mu.Lock()
	defer m.mu.Unlock()
	return told{ends: slices.Clone(m.ends), hooks: m.hooks, reload: m.reload, reason: m.reason, byHand: m.byHand}
}
