package fanout

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/pidfiles"
	"github.com/brood-init/brood/reaper"
)

// world is a System without processes, in the fake time of synctest. What its
// processes do is up to the test.
//
// The engine's goroutine and the test's take turns. The lock is there for the
// race detector: fake time passing tells it nothing about who went first.
type world struct {
	t       *testing.T
	engine  *Engine
	mu      sync.Mutex
	in      chan Input
	running sync.WaitGroup // what is to be done later
	nextPID int
	alive   map[Ref]int // PID of each live process

	launches []Launch
	signals  []sentSignal
	events   []Event
	sweeps   []syscall.Signal

	// onStart decides what becomes of a start; nil starts it.
	onStart func(Launch) Input
	onEvent func(Event)
	answers []chan error
	// onSignal is what a process does with a signal; nil: TERM, INT, QUIT and
	// KILL end it at once.
	onSignal func(Ref, syscall.Signal)
	// onProbe is a worker's answer to a probe; false is none. nil is none ever.
	onProbe func(Ref) (err error, answers bool)
	rss     map[Ref]uint64
	files   []Ref // whose PID file was asked for beside its start
	// leftovers are groups with members after their leader's end.
	leftovers  map[Ref]bool
	registered []RegisteredProcess
	told       map[int]bool
	stragglers []Straggler
	stubborn   bool          // stragglers survive SIGTERM
	dead       bool          // answers nothing at all
	slowDisk   time.Duration // how long removing brood's files takes
	discard    bool          // starts that have not begun are dropped
	broken     bool          // the command cannot be started
	// mustGet and mayGet are how many forwarded signals a worker gets.
	mustGet, mayGet map[Ref]int
	early           int // those that arrived before the first worker
	cleaned         int
}

type sentSignal struct {
	Ref
	sig   syscall.Signal
	group bool
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, in: make(chan Input, 4096), nextPID: 100,
		alive: make(map[Ref]int), leftovers: make(map[Ref]bool), told: make(map[int]bool), rss: make(map[Ref]uint64),
		mustGet: make(map[Ref]int), mayGet: make(map[Ref]int),
	}
}

func (w *world) Start(l Launch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.launches = append(w.launches, l)
	if w.dead {
		return
	}
	if w.onStart != nil {
		if in := w.onStart(l); in != nil {
			w.in <- in
			return
		}
	}
	w.begin(l.Ref)
}

func (w *world) begin(ref Ref) {
	w.nextPID++
	w.alive[ref] = w.nextPID
	w.in <- Started{ref, w.nextPID, time.Now()}
}

func (w *world) DiscardStarts() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.discard = true
}

func (w *world) KillAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ref := range w.alive {
		w.exit(ref, reaper.Status{Signal: syscall.SIGKILL})
	}
}

func (w *world) Signal(refs []Ref, sig syscall.Signal, group bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, ref := range refs {
		w.signals = append(w.signals, sentSignal{ref, sig, group})
		if group && w.leftovers[ref] && (sig == syscall.SIGKILL || sig == syscall.SIGTERM && !w.stubborn) {
			delete(w.leftovers, ref)
		}
		if w.alive[ref] == 0 || w.dead {
			continue
		}
		n++
		switch {
		case sig == syscall.SIGKILL:
			w.exit(ref, reaper.Status{Signal: sig})
		case w.onSignal != nil:
			w.onSignal(ref, sig)
		case sig == syscall.SIGTERM, sig == syscall.SIGINT, sig == syscall.SIGQUIT:
			w.exit(ref, reaper.Status{Signal: sig})
		}
	}
	return n
}

// exit ends a process.
func (w *world) exit(ref Ref, s reaper.Status) {
	pid := w.alive[ref]
	if pid == 0 {
		w.t.Errorf("the test ends %v, which does not run", ref)
		return
	}
	delete(w.alive, ref)
	w.in <- Exited{Ref: ref, Exit: reaper.Exit{PID: pid, Status: s, GroupAlive: w.leftovers[ref], At: time.Now()}}
}

// worker is the live worker of a slot.
func (w *world) worker(slot int) Ref {
	for ref := range w.alive {
		if ref.Kind == KindWorker && ref.Slot == slot {
			return ref
		}
	}
	w.t.Fatalf("slot %d has no worker", slot)
	return Ref{}
}

func (w *world) fail(slot, code int) { w.exit(w.worker(slot), reaper.Status{Code: code}) }

func (w *world) GroupAlive(ref Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leftovers[ref]
}
func (w *world) Forget(Ref)             {}
func (w *world) RemovePIDFile(_, _ int) {}
func (w *world) Inspect(refs []Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var in Inspected
	for _, ref := range refs {
		in.Processes = append(in.Processes, ProcessInfo{Ref: ref, PID: w.alive[ref], Comm: "fake", State: 'S'})
	}
	w.in <- in
}

func (w *world) WritePIDFile(ref Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files = append(w.files, ref)
}
func (w *world) RetireSlot(int) {}
func (w *world) CloseSockets()  {}
func (w *world) Probe(of Ref, _ Prober, _ expand.Values, timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.onProbe == nil {
		return
	}
	if err, answers := w.onProbe(of); answers {
		w.in <- Probed{of, err}
	} else {
		w.later(timeout, func() { w.in <- Probed{of, errNoAnswer} })
	}
}

func (w *world) Measure(refs []Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := Measured{RSS: make(map[Ref]uint64)}
	for _, ref := range refs {
		in.RSS[ref] = w.rss[ref]
	}
	w.in <- in
}
func (w *world) Wake([]Ref)                  {}
func (w *world) Suspend(Ref, syscall.Signal) {}
func (w *world) GiveTerminal(Ref)            {}
func (w *world) TakeTerminal()               {}

func (w *world) Registered(sig syscall.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return
	}
	seen := RegisteredSeen{Signal: sig}
	for _, p := range slices.Clone(w.registered) {
		if sig != 0 && (!w.told[p.PID] || sig == syscall.SIGKILL) {
			w.told[p.PID] = true
			seen.Signalled = append(seen.Signalled, p)
			if sig == syscall.SIGKILL {
				w.unregister(p.PID)
			}
		}
	}
	seen.Alive = slices.Clone(w.registered)
	w.in <- seen
}

func (w *world) unregister(pid int) {
	w.registered = slices.DeleteFunc(w.registered, func(p RegisteredProcess) bool { return p.PID == pid })
}

func (w *world) Descendants() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.alive)+len(w.stragglers)+len(w.leftovers) > 0
}

func (w *world) Sweep(sig syscall.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweeps = append(w.sweeps, sig)
	if w.dead {
		return
	}
	out := Swept{Signal: sig, Left: slices.Clone(w.stragglers), Signalled: len(w.stragglers)}
	if sig == syscall.SIGKILL || !w.stubborn {
		w.stragglers = nil
		clear(w.leftovers)
	}
	w.in <- out
}

func (w *world) Cleanup() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleaned++
	if !w.dead {
		time.AfterFunc(w.slowDisk, func() { w.in <- CleanedUp{} })
	}
}

// play runs a plan in fake time while act drives the world, and returns the
// outcome and how long it all took.
func play(t *testing.T, plan Plan, prepare func(*world), act func(*world)) (w *world, o Outcome, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t)
		if prepare != nil {
			prepare(w)
		}
		allowed := transitions()
		w.engine = New(plan, w, w.in, func(_ time.Time, ev Event) {
			w.handOver()
			w.events = append(w.events, ev)
			if w.onEvent != nil {
				w.onEvent(ev)
			}
			if c, ok := ev.(SlotEntered); ok && !slices.Contains(allowed[c.From], c.To) {
				t.Errorf("slot %d went from %q to %q", c.Slot, c.From, c.To)
			}
		})
		w.engine.random = rand.New(rand.NewPCG(1, 2)).Float64
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			o = w.engine.Run()
			took = time.Since(began)
		}()
		w.settle()
		if act != nil {
			act(w)
		}
		w.handOver()
		select {
		case <-done:
		case <-time.After(time.Hour):
			t.Fatal("the engine did not end within an hour")
		}
		w.running.Wait()
	})
	return w, o, took
}

// settle hands over to the engine until everything waits.
func (w *world) settle() {
	w.handOver()
	synctest.Wait()
	w.handOver()
}

// after lets fake time pass and everything settle.
func (w *world) after(d time.Duration) {
	w.handOver()
	time.Sleep(d)
	w.settle()
}

func (w *world) send(sig syscall.Signal) {
	w.in <- SignalArrived{sig}
	w.settle()
}

// later does something once fake time has passed.
func (w *world) later(d time.Duration, do func()) {
	w.running.Go(func() {
		time.Sleep(d)
		w.mu.Lock()
		defer w.mu.Unlock()
		do()
	})
}

func (w *world) handOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
}

func (w *world) states() map[int]SlotState {
	m := make(map[int]SlotState)
	for _, ev := range w.events {
		if c, ok := ev.(SlotEntered); ok {
			m[c.Slot] = c.To
		}
	}
	return m
}

// got returns the events of one type.
func got[T Event](w *world) []T {
	var all []T
	for _, ev := range w.events {
		if e, ok := ev.(T); ok {
			all = append(all, e)
		}
	}
	return all
}

func (w *world) sent(sig syscall.Signal) []Ref {
	var all []Ref
	for _, s := range w.signals {
		if s.sig == sig {
			all = append(all, s.Ref)
		}
	}
	return all
}

func (w *world) started(kind Kind) int {
	n := 0
	for _, l := range w.launches {
		if l.Kind == kind {
			n++
		}
	}
	return n
}

var errNoAnswer = errors.New("no answer")

var errNoFork = errors.New("resource temporarily unavailable")

// basePlan is a plan like the defaults, for n workers.
func basePlan(n int) Plan {
	pattern, err := pidfiles.Parse("/run/x/web.pid")
	if err != nil {
		panic(err)
	}
	return Plan{
		Command: []string{"web"}, Count: n, ReadyAfter: time.Second,
		Restart: RestartOnFailure, Backoff: Backoff{100 * time.Millisecond, 30 * time.Second},
		MaxRestarts: CrashBudget{10, 5 * time.Minute}, Leftovers: LeftoversKill,
		Stop: NewSchedule(9*time.Second, 0, 0), SecondSignal: SecondSignalHasten,
		Signals: SignalTable{
			syscall.SIGTERM: {Kind: ActionStop}, syscall.SIGINT: {Kind: ActionStop}, syscall.SIGQUIT: {Kind: ActionStop},
			syscall.SIGHUP:  {Kind: ActionForward, Signal: syscall.SIGHUP},
			syscall.SIGUSR1: {Kind: ActionForward, Signal: syscall.SIGUSR1},
			syscall.SIGUSR2: {Kind: ActionForward, Signal: syscall.SIGINT},
		},
		PIDFiles: &pattern, MaxCount: 16, Disruption: Disruption{MaxUnavailable: 1}, ReadyTimeout: time.Minute,
	}
}

func withFinish(p Plan) Plan {
	p.Finish = Hook{Args: []string{"finish"}, Timeout: 2 * time.Second}
	p.Stop = NewSchedule(p.Stop.Budget, p.Stop.Drain, 2*time.Second)
	return p
}
