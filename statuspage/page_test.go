package statuspage_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/reaper"
	"github.com/brood-init/brood/statuspage"
)

// world is what a page is asked about.
type world struct {
	mu       sync.Mutex
	snapshot fanout.Snapshot
	figures  []statuspage.Figures
	serves   error
}

func (w *world) page(reason string) *statuspage.Page {
	return statuspage.New(statuspage.Source{
		Snapshot: func() *fanout.Snapshot { w.mu.Lock(); defer w.mu.Unlock(); s := w.snapshot; return &s },
		Figures:  func() []statuspage.Figures { return w.figures },
		Serves:   func() error { return w.serves },
		Reason:   reason,
		Version:  "1.2.3",
	})
}

// running is a world with so many ready workers.
func running(workers int) *world {
	w := &world{snapshot: fanout.Snapshot{
		Phase: fanout.PhaseRunning, Began: time.Now().Add(-time.Hour), Wanted: workers, Ready: workers, AllBeen: true,
	}}
	for slot := 1; slot <= workers; slot++ {
		w.snapshot.Slots = append(w.snapshot.Slots, &fanout.SlotView{
			Slot: slot, State: fanout.SlotReady, PID: 1000 + slot, Started: time.Now().Add(-time.Minute), Leader: slot == 1,
		})
		w.figures = append(w.figures, statuspage.Figures{Slot: slot, CPUSeconds: float64(slot), Resident: uint64(slot) << 20})
	}
	return w
}

func get(t *testing.T, p *statuspage.Page) (body string, header http.Header) {
	t.Helper()
	r := httptest.NewRecorder()
	p.ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if r.Code != http.StatusOK {
		t.Fatalf("answered with %d", r.Code)
	}
	return r.Body.String(), r.Header()
}

// text is what is left of a page without its tags, script and style.
func text(page string) string {
	page = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(page, "")
	page = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(page), " ")
}

func want(t *testing.T, page string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text(page), word) {
			t.Errorf("there is no %q on the page:\n%s", word, text(page))
		}
	}
}

func TestThePageTellsWhatRunsAndWhy(t *testing.T) {
	w := running(3)
	w.snapshot.Registered = make([]fanout.RegisteredProcess, 2)
	w.snapshot.Slots[1].Last = &fanout.LastExit{At: time.Now().Add(-2 * time.Minute), Code: 137, Signal: "SIGKILL", Reason: fanout.ReasonOOM}
	w.figures[1].Restarts = 4
	page, _ := get(t, w.page("processes=3 source=cgroup quota=2.5 affinity=64"))
	want(t, page, "1.2.3", "Serving: 3 of 3 workers ready", "Wanted 3 workers because the CPU quota is 2.5", "Phase running", "Up 1 h 0 min",
		"Registered 2", "1 leader ready 1001 1 min 0 s 0 ", "2 ready 1002 1 min 0 s 4 ", "2.0 MiB", "oom SIGKILL 2 min 0 s ago",
		"No worker has ended yet.", "UTC")
}

func TestWhyThereAreSoManyWorkers(t *testing.T) {
	for reason, words := range map[string]string{
		"processes=3 source=requested":                                                       "as asked for",
		"processes=64 source=affinity affinity=64":                                           "because it may use 64 CPUs",
		"processes=3 source=cgroup quota=2.5 affinity=64":                                    "because the CPU quota is 2.5",
		"processes=2 source=memory affinity=4 memory=536870912 memory_per_process=209715200": "because the memory limit of 512 MiB holds no more of 200 MiB",
		"processes=2 source=pids affinity=4 pids_max=10":                                     "because the limit of 10 tasks holds no more",
		"processes=2 source=min affinity=1 min=2":                                            "because that is the least allowed",
		"processes=2 source=max affinity=4 max=2":                                            "because that is the most allowed",
	} {
		page, _ := get(t, running(3).page(reason))
		want(t, page, "3 workers "+words)
	}
}

func TestThePageFollowsScalings(t *testing.T) {
	w := running(3)
	p := w.page("processes=3 source=cgroup quota=2.5")
	p.Observe(time.Now(), fanout.LimitChanged{From: 3, To: 5, Reason: "processes=5 source=cgroup quota=4.5", Followed: true})
	p.Observe(time.Now(), fanout.Scaled{From: 3, To: 5, Cause: "limits"})
	page, _ := get(t, p)
	want(t, page, "because the CPU quota is 4.5")
	p.Observe(time.Now(), fanout.Scaled{From: 5, To: 2, Cause: "asked"})
	page, _ = get(t, p)
	want(t, page, "scaled by hand")
	w.snapshot.Following = true
	page, _ = get(t, p)
	want(t, page, "as many as the limits allow")
}

func TestThePageTellsWhatHasHappened(t *testing.T) {
	w := running(3)
	p := w.page("")
	now := time.Now()
	for n := range 20 {
		p.Observe(now.Add(-time.Duration(20-n)*time.Minute), fanout.WorkerExited{
			Slot: n + 1, Reason: fanout.ReasonFailed, Uptime: 90 * time.Second, Exit: reaper.Exit{Status: reaper.Status{Code: 3}},
		})
	}
	p.Observe(now, fanout.WorkerExited{Slot: 2, Reason: fanout.ReasonSignaled, Exit: reaper.Exit{Status: reaper.Status{Signal: syscall.SIGSEGV}}})
	p.Observe(now, fanout.HookStarted{Hook: fanout.KindPrepare})
	p.Observe(now, fanout.HookFinished{Hook: fanout.KindPrepare, Duration: 1500 * time.Millisecond})
	p.Observe(now, fanout.HookFinished{Hook: fanout.KindExitHook, Code: 9, Err: errors.New("/secret/path")})
	p.Observe(now, fanout.HookStarted{Hook: fanout.KindFinish})
	p.Observe(now, fanout.ReloadBegan{Slots: 3})
	p.Observe(now, fanout.SlotReplaced{Slot: 1, Cause: fanout.CauseReload})
	page, _ := get(t, p)
	want(t, page, "slot 2 signaled SIGSEGV", "slot 20 failed code 3 after 1 min 30 s, 1 min 0 s ago", "slot 10 failed",
		"prepare done in 1.5 s", "on-worker-exit failed code 9", "finish running", "Reload under way 1 of 3 replaced")
	if strings.Contains(text(page), "slot 9 ") {
		t.Error("more ends are told than are remembered")
	}
	p.Observe(now, fanout.ReloadEnded{Replaced: 1, Slots: 3, Err: errors.New("http://secret:1/path")})
	page, _ = get(t, p)
	want(t, page, "Reload failed 1 of 3 replaced")
	if strings.Contains(page, "secret") {
		t.Error("an error of a probe or a hook is on the page")
	}
}

func TestThePageTellsThatItStops(t *testing.T) {
	w := running(3)
	w.snapshot.Phase, w.snapshot.StopBy = fanout.PhaseTerminating, time.Now().Add(6500*time.Millisecond)
	w.snapshot.Slots[0].PID, w.snapshot.Slots[0].State = 0, fanout.SlotCompleted
	w.serves = errors.New("not ready: terminating")
	page, _ := get(t, w.page(""))
	want(t, page, "Stopping: 2 still running", "Phase terminating gone in 6 s at the latest")
}

// Whatever writes these words, now or later: they stay text.
func TestHostileWordsStayText(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'`
	w := running(1)
	s := w.snapshot.Slots[0]
	s.Status = hostile
	s.State, s.Replacing = fanout.SlotState(hostile), fanout.ReplaceCause(hostile)
	s.Last = &fanout.LastExit{Signal: hostile, Reason: fanout.Reason(hostile)}
	w.snapshot.Phase = fanout.Phase(hostile)
	w.snapshot.Registered = []fanout.RegisteredProcess{{Comm: hostile}}
	w.serves = errors.New(hostile)
	p := w.page("processes=1 source=cgroup quota=" + strings.ReplaceAll(hostile, " ", ""))
	p.Observe(time.Now(), fanout.WorkerStatus{Slot: 1, Status: hostile})
	p.Observe(time.Now(), fanout.WorkerExited{Slot: 1, Reason: fanout.Reason(hostile)})
	page, _ := get(t, p)
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("%d scripts on the page", n)
	}
	if strings.Contains(page, "<img") || regexp.MustCompile(`class="[^"]*alert`).MatchString(page) {
		t.Error("it has got out of its place")
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the test is no test: nothing hostile is shown")
	}
}

// A worker may put anything there, the path of a request or a token in it.
func TestWhatAWorkerSaysOfItselfIsNotOnThePage(t *testing.T) {
	w := running(1)
	w.snapshot.Slots[0].Status = "serving /reset?token=wonderland"
	w.snapshot.Registered = []fanout.RegisteredProcess{{Index: 7, PID: 77, Comm: "wonderland"}}
	page, _ := get(t, w.page(""))
	if strings.Contains(page, "wonderland") {
		t.Error("it is")
	}
}

func TestTheHeadersAllowThisPageAndNothingElse(t *testing.T) {
	page, header := get(t, running(1).page(""))
	policy := header.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("policy %q lacks %s", policy, directive)
		}
	}
	for _, tag := range []string{"script", "style"} {
		inner := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindStringSubmatch(page)
		if inner == nil {
			t.Fatalf("no %s on the page", tag)
		}
		sum := sha256.Sum256([]byte(inner[1]))
		if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if regexp.MustCompile(`(?i)(src|href|action|url)\s*[=(]\s*["']?(https?:)?//`).MatchString(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", "")) {
		t.Error("the page wants something from elsewhere")
	}
	if regexp.MustCompile(`\s(style|on[a-z]+)="`).MatchString(page) {
		t.Error("the page has style or script in attributes, which the policy forbids")
	}
	for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
		if got := header.Get(name); got != value {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestTheWorkersThatNeedALookComeFirstWhenThereAreTooMany(t *testing.T) {
	w := running(1000)
	w.snapshot.Slots[899].State = fanout.SlotFailed
	page, _ := get(t, w.page(""))
	if rows := strings.Count(page, `id="slot-`); rows != 128 {
		t.Errorf("%d rows", rows)
	}
	if !strings.Contains(page, `id="slot-900"`) {
		t.Error("the failed worker is not among them")
	}
	if dots := strings.Count(page, "<i class="); dots != 1000 {
		t.Errorf("%d dots", dots)
	}
	if len(page) > 150<<10 {
		t.Errorf("the page has %d bytes", len(page))
	}
	want(t, page, "128 of 1000, those that are not ready first")
}

func TestLooksAtTheSameTimeDisturbNobody(t *testing.T) {
	w := running(8)
	p := w.page("")
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 20 {
				r := httptest.NewRecorder()
				p.ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			}
		})
	}
	group.Go(func() {
		for n := range 100 {
			p.Observe(time.Now(), fanout.WorkerExited{Slot: n})
			p.Seen(time.Now().Add(time.Duration(n)*time.Minute), w.figures)
		}
	})
	group.Wait()
}

func BenchmarkPage(b *testing.B) {
	for _, workers := range []int{3, 64, 1000} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			w := running(workers)
			p := w.page("processes=3 source=cgroup quota=2.5")
			for n := range 60 {
				p.Seen(time.Now().Add(time.Duration(n-60)*5*time.Second), w.figures)
			}
			request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRecorder()
				p.ServeHTTP(r, request)
				size = r.Body.Len()
			}
			b.ReportMetric(float64(size), "page-bytes")
		})
	}
}
