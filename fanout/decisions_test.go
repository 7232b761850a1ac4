package fanout

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/brood-init/brood/reaper"
)

func TestTheBudgetIsCutIntoParts(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, test := range []struct {
		name                  string
		budget, drain, finish time.Duration
		grace, sweep          time.Duration
		fits                  bool
	}{
		{"docker's ten seconds", ms(9000), 0, 0, ms(8000), ms(900), true},
		{"with a finish hook", ms(9000), 0, ms(2000), ms(6000), ms(900), true},
		{"kubernetes' thirty", ms(28000), 0, ms(2000), ms(24900), ms(1000), true},
		{"with a drain delay", ms(28000), ms(5000), ms(2000), ms(19900), ms(1000), true},
		{"one second", ms(1000), 0, 0, ms(800), ms(100), true},
		{"a drain that leaves no grace is cut", ms(3000), ms(4000), 0, ms(1300), ms(300), false},
		{"nothing left for the workers", ms(2000), 0, ms(2000), 0, ms(200), false},
		{"none at all", 0, 0, 0, 0, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := NewSchedule(test.budget, test.drain, test.finish)
			want := Schedule{Budget: test.budget, Drain: test.drain, Grace: test.grace, Sweep: test.sweep, Finish: test.finish}
			if test.drain > 0 && !test.fits {
				want.Drain, want.Cut = test.grace, true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if got.Fits() != test.fits {
				t.Errorf("Fits is %v", got.Fits())
			}
		})
	}
}

func TestNoPhaseEndsAfterTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(0, 60_000).Draw(t, name)) * time.Millisecond
		}
		s := NewSchedule(d("budget"), d("drain"), d("finish"))
		start := time.Unix(1_000_000, 0)
		for _, l := range []deadlines{s.from(start), s.afterNaturalEnd(start)} {
			end := start.Add(s.Budget)
			for _, at := range []time.Time{l.drain, l.grace, l.sweep, l.finish} {
				if at.After(end) && at.After(start) {
					t.Fatalf("a phase ends %s after the budget of %+v", at.Sub(end), s)
				}
			}
			if l.grace.After(l.sweep) || l.sweep.After(l.finish) {
				t.Fatalf("phases of %+v overlap: %+v", s, l)
			}
		}
	})
}

func TestTheBackoffGrowsToItsBoundWithFullJitter(t *testing.T) {
	b := Backoff{100 * time.Millisecond, 30 * time.Second}
	most := func() float64 { return 1 }
	for attempt, want := range map[int]time.Duration{
		0: 100 * time.Millisecond, 1: 200 * time.Millisecond, 5: 3200 * time.Millisecond,
		8: 25600 * time.Millisecond, 9: 30 * time.Second, 62: 30 * time.Second, 1000: 30 * time.Second,
	} {
		if got := b.delay(attempt, most); got != want {
			t.Errorf("attempt %d: at most %s, want %s", attempt, got, want)
		}
	}
	if got := b.delay(3, func() float64 { return 0 }); got != 0 {
		t.Errorf("full jitter starts at %s, want 0", got)
	}
}

func TestTheCrashBudgetIsASlidingWindow(t *testing.T) {
	budget := CrashBudget{3, time.Minute}
	now := time.Unix(0, 0)
	var f failures
	for i := range 3 {
		if f.add(now.Add(time.Duration(i)*time.Second), budget) {
			t.Fatalf("exhausted by failure %d of 3", i+1)
		}
	}
	if !f.add(now.Add(3*time.Second), budget) {
		t.Error("not exhausted by the fourth failure within the window")
	}
	if f.add(now.Add(2*time.Minute), budget) {
		t.Error("exhausted by failures that are older than the window")
	}
}

func TestWhoHonouredTheStop(t *testing.T) {
	for _, test := range []struct {
		status reaper.Status
		sent   syscall.Signal
		want   Reason
	}{
		{reaper.Status{}, syscall.SIGTERM, ReasonStopped},
		{reaper.Status{Signal: syscall.SIGTERM}, syscall.SIGTERM, ReasonStopped},
		{reaper.Status{Code: 143}, syscall.SIGTERM, ReasonStopped},
		{reaper.Status{Code: 131}, syscall.SIGQUIT, ReasonStopped},
		{reaper.Status{Code: 143}, syscall.SIGQUIT, ReasonFailed},
		{reaper.Status{Signal: syscall.SIGINT}, syscall.SIGTERM, ReasonSignaled},
		{reaper.Status{Signal: syscall.SIGKILL}, syscall.SIGTERM, ReasonSignaled},
		{reaper.Status{Code: 3}, syscall.SIGTERM, ReasonFailed},
		{reaper.Status{}, 0, ReasonCompleted},
		{reaper.Status{Code: 143}, 0, ReasonFailed},
		{reaper.Status{Signal: syscall.SIGTERM}, 0, ReasonSignaled},
	} {
		if got := exitReason(test.status, test.sent, false, false); got != test.want {
			t.Errorf("%+v after %v: %s, want %s", test.status, test.sent, got, test.want)
		}
	}
	if got := exitReason(reaper.Status{Signal: syscall.SIGKILL}, syscall.SIGTERM, true, false); got != ReasonKilled {
		t.Errorf("ended by our SIGKILL: %s", got)
	}
	if got := exitReason(reaper.Status{Signal: syscall.SIGKILL}, 0, false, true); got != ReasonOOM {
		t.Errorf("ended by the kernel for memory: %s", got)
	}
}

func TestTheExitCode(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	failed := func(slot, second, code int) countedExit {
		return countedExit{slot, at(second), reaper.Status{Code: code}, ReasonFailed}
	}
	stopped := countedExit{9, at(0), reaper.Status{Signal: syscall.SIGTERM}, ReasonStopped}
	completed := countedExit{8, at(0), reaper.Status{}, ReasonCompleted}
	killed := countedExit{3, at(5), reaper.Status{Signal: syscall.SIGKILL}, ReasonKilled}
	segfault := countedExit{4, at(6), reaper.Status{Signal: syscall.SIGSEGV}, ReasonSignaled}
	for _, test := range []struct {
		name string
		in   ending
		want Outcome
	}{
		{"asked to stop, all honoured it", ending{requested: true, exits: []countedExit{stopped, completed}}, Outcome{Reason: ReasonRequested}},
		{"all completed", ending{exits: []countedExit{completed}}, Outcome{Reason: ReasonCompleted}},
		{"nobody at all", ending{requested: true}, Outcome{Reason: ReasonRequested}},
		{"the first failure counts, not the lowest slot", ending{exits: []countedExit{failed(1, 9, 11), failed(2, 3, 12)}}, Outcome{Code: 12, Reason: ReasonFailed, Slot: 2}},
		{"a signal is 128 and its number", ending{exits: []countedExit{segfault}}, Outcome{Code: 139, Reason: ReasonSignaled, Slot: 4}},
		{"the grace was not enough", ending{requested: true, exits: []countedExit{stopped, killed}}, Outcome{Code: 137, Reason: ReasonKilled, Slot: 3}},
		{"a failure before somebody was killed", ending{requested: true, exits: []countedExit{killed, failed(1, 2, 4)}}, Outcome{Code: 4, Reason: ReasonFailed, Slot: 1}},
		{"a registered process was killed", ending{requested: true, exits: []countedExit{stopped}, registeredKilled: true}, Outcome{Code: 137, Reason: ReasonKilled}},
		{"the finish hook failed and nothing else did", ending{requested: true, finish: &hookResult{code: 6}}, Outcome{Code: 6, Reason: ReasonFailed, Hook: KindFinish}},
		{"the finish hook ran out of time", ending{finish: &hookResult{code: CodeTimeout, timedOut: true}}, Outcome{Code: 124, Reason: ReasonFailed, Hook: KindFinish}},
		{"a worker's failure beats the finish hook's", ending{exits: []countedExit{failed(1, 1, 7)}, finish: &hookResult{code: 6}}, Outcome{Code: 7, Reason: ReasonFailed, Slot: 1}},
		{"the cause decides", ending{decided: &Outcome{Code: 127, Reason: ReasonStartFailed, Slot: 1}, exits: []countedExit{failed(2, 1, 7)}}, Outcome{Code: 127, Reason: ReasonStartFailed, Slot: 1}},
		{"a code is mapped last", ending{exits: []countedExit{failed(1, 1, 7)}, codes: map[int]int{7: 0, 0: 9}}, Outcome{Code: 0, Reason: ReasonFailed, Slot: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.in.outcome()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
