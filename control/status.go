package control

import (
	"os"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/proc"
)

// statusOf describes a snapshot, with what /proc says of the processes now.
func statusOf(s *fanout.Snapshot, serves error, fs proc.FS, now time.Time) Status {
	out := Status{
		Version: 1, PID: os.Getpid(), Phase: string(s.Phase), Began: s.Began,
		UptimeSeconds: now.Sub(s.Began).Seconds(), Wanted: s.Wanted, Ready: s.Ready,
		Serves: serves == nil, Started: s.AllBeen || s.Phase == fanout.PhaseRunning && s.Wanted == 0, Reloading: s.Reloading, Following: s.Following, Slots: make([]Slot, 0, len(s.Slots)), Registered: make([]Registered, 0, len(s.Registered)),
	}
	if serves != nil {
		out.Reason = serves.Error()
	}
	if !s.StopBy.IsZero() {
		out.StopBy = &s.StopBy
	}
	for _, v := range s.Slots {
		out.Slots = append(out.Slots, slotOf(v, fs, now))
	}
	for _, p := range s.Registered {
		out.Registered = append(out.Registered, Registered{p.Index, p.PID, p.Comm})
	}
	return out
}

// addLeaks adds what a look at all processes has found, if there was one.
func (s *Status) addLeaks(c *fanout.Census) {
	if c == nil {
		return
	}
	for i := range s.Slots {
		leaks := c.Slots[s.Slots[i].Slot]
		s.Slots[i].Leaks = &Leaks{leaks.Zombies, leaks.Adopted}
	}
}

func slotOf(v *fanout.SlotView, fs proc.FS, now time.Time) Slot {
	s := Slot{
		Slot: v.Slot, PID: v.PID, State: string(v.State), Ready: v.State == fanout.SlotReady,
		Status: v.Status, Reloading: v.Reloading, Replacing: string(v.Replacing), Leader: v.Leader, Incarnation: v.Incarnation, Restarts: max(0, v.Incarnation-1),
		OrphansReaped: v.Orphans,
	}
	if v.PID != 0 {
		s.Started, s.UptimeSeconds = &v.Started, now.Sub(v.Started).Seconds()
		if !v.ReadyAt.IsZero() {
			s.ReadySince = &v.ReadyAt
		}
		if st, err := fs.Stat(v.PID); err == nil {
			s.CPUSeconds = float64(st.UserTicks+st.SystemTicks) / proc.TicksPerSecond
			s.RSSBytes = st.ResidentPages * int64(os.Getpagesize())
		}
	}
	if l := v.Last; l != nil {
		s.LastExit = &LastExit{
			At: l.At, PID: l.PID, Code: l.Code, Signal: l.Signal, Reason: string(l.Reason),
			UptimeSeconds: l.Uptime.Seconds(), OOMKills: l.OOMKills,
		}
		if l.Words != nil {
			s.LastExit.LastLine, s.LastExit.LastLines = l.Words.Line, l.Words.Lines
		}
	}
	return s
}
