package prometheus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// foreman does to workers what the world does to them, one thing after the
// other, and keeps the books.
type foreman struct {
	t       *testing.T
	b       *harness.Brood
	address string // of brood's page
	sockets string // the directory of those of the workers
	wanted  int    // workers, in the slots from 1 up
	most    int    // that ever were
	scraped func() // waits until Prometheus has seen how it is now
	done    map[string]int
	truth   map[string]float64 // by series: what each counter has to be
}

func newForeman(t *testing.T, b *harness.Brood, p *server, address, sockets string, wanted int) *foreman {
	f := &foreman{t: t, b: b, address: address, sockets: sockets, wanted: wanted, most: wanted, scraped: func() { p.scraped(1) }, done: map[string]int{}, truth: map[string]float64{}}
	for slot := 1; slot <= wanted; slot++ {
		f.count(1, `brood_worker_starts_total{worker="%d"}`, slot)
	}
	t.Cleanup(func() {
		if lines := b.Stderr.All(); t.Failed() {
			t.Logf("after %v brood says at last:\n%s", f.done, strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
	})
	return f
}

func (f *foreman) count(n float64, series string, args ...any) {
	f.truth[fmt.Sprintf(series, args...)] += n
}

// deeds are all that there is to do, by how often.
func (f *foreman) deeds() []func() {
	kill, hangUp := func() { f.signal(syscall.SIGKILL) }, func() { f.signal(syscall.SIGHUP) }
	three, seven, well := func() { f.end(3) }, func() { f.end(7) }, func() { f.end(0) }
	return []func(){
		f.outOfMemory, kill, three, f.reload, f.scale, well, f.orphans, f.forward, f.reloadWithOneDeaf,
		kill, kill, kill, hangUp, three, seven, well, f.scale, f.orphans, f.forward,
	}
}

// work does each once, in their order, and then goes on at random.
func (f *foreman) work(until time.Time, between func()) {
	deeds := f.deeds()
	for i := 0; i < len(deeds) || time.Now().Before(until); i++ {
		if i < len(deeds) {
			deeds[i]()
		} else {
			deeds[rand.IntN(len(deeds))]()
		}
		f.allReady()
		between()
	}
}

// allReady waits until the wanted workers are ready and nobody else is there.
func (f *foreman) allReady() {
	f.t.Helper()
	until(f.t, fmt.Sprintf("%d workers are ready", f.wanted), func() bool {
		text, err := page("http://" + f.address + "/metrics")
		return err == nil && ones(text, "brood_worker_state{", `state="ready"`) == f.wanted && ones(text, "brood_worker_up{", "") == f.wanted
	})
}

// ones counts the series of a family that have a label and are 1.
func ones(page, family, label string) (n int) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, family) && strings.Contains(line, label) && strings.HasSuffix(line, " 1\n") {
			n++
		}
	}
	return n
}

func (f *foreman) anySlot() int { return 1 + rand.IntN(f.wanted) }

// ended books the end of a worker.
func (f *foreman) ended(slot int, reason string, code int, signal string) {
	f.count(1, `brood_worker_exits_total{reason="%s",worker="%d"}`, reason, slot)
	f.count(1, `brood_reaped_processes_total{kind="worker"}`)
	if signal != "" {
		f.count(1, `brood_reaped_exit_signals_total{signal="%s"}`, signal)
	} else {
		f.count(1, `brood_reaped_exit_codes_total{code="%d"}`, code)
	}
}

// startedAgain books that one came after another.
func (f *foreman) startedAgain(slot int) {
	f.count(1, `brood_worker_starts_total{worker="%d"}`, slot)
	f.count(1, `brood_worker_restarts_total{worker="%d"}`, slot)
}

// ask has the worker of a slot do something. It may be dead before it answers.
func (f *foreman) ask(slot int, path string) {
	socket := filepath.Join(f.sockets, strconv.Itoa(slot)+".sock")
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	if answer, err := client.Post("http://localhost"+path, "", nil); err == nil {
		_ = answer.Body.Close()
	}
}

// brood runs a verb.
func (f *foreman) brood(verb ...string) {
	f.t.Helper()
	verb = slices.Insert(verb, 1, "--pidfile", f.b.PIDFile)
	if out, err := exec.Command(harness.Binary(), verb...).CombinedOutput(); err != nil {
		f.t.Fatalf("brood %s: %v: %s", verb, err, out)
	}
}

func (f *foreman) signal(signal syscall.Signal) {
	slot := f.anySlot()
	before := f.b.Slot(slot)
	if err := harness.Kill(before, signal); err != nil {
		f.t.Fatal(err)
	}
	f.b.SlotAfter(slot, before)
	name := map[syscall.Signal]string{syscall.SIGKILL: "SIGKILL", syscall.SIGHUP: "SIGHUP"}[signal]
	f.ended(slot, "signaled", 0, name)
	f.startedAgain(slot)
	f.done[name]++
}

func (f *foreman) end(code int) {
	slot := f.anySlot()
	before := f.b.Slot(slot)
	f.ask(slot, fmt.Sprintf("/end/%d", code))
	f.b.SlotAfter(slot, before)
	f.ended(slot, map[bool]string{true: "completed", false: "failed"}[code == 0], code, "")
	f.startedAgain(slot)
	f.done[fmt.Sprintf("exit %d", code)]++
}

func (f *foreman) outOfMemory() {
	slot := f.anySlot()
	before := f.b.Slot(slot)
	f.ask(slot, "/hog")
	f.b.SlotAfter(slot, before)
	f.ended(slot, "oom", 0, "SIGKILL")
	f.startedAgain(slot)
	f.count(1, `brood_cgroup_memory_events_total{event="oom_kill"}`)
	f.done["out of memory"]++
}

func (f *foreman) reload() {
	f.reloadBut(0)
	f.done["reload"]++
}

// reloadBut replaces all, and one is killed for it, if there is a deaf one.
func (f *foreman) reloadBut(deaf int) {
	f.brood("reload")
	for slot := 1; slot <= f.wanted; slot++ {
		if slot == deaf {
			f.ended(slot, "killed", 0, "SIGKILL")
			f.count(1, `brood_worker_forced_kills_total{worker="%d"}`, slot)
		} else {
			f.ended(slot, "stopped", 0, "")
		}
		f.count(1, `brood_worker_starts_total{worker="%d"}`, slot)
		f.count(1, `brood_replacements_total{cause="reload",result="success"}`)
	}
	f.count(1, `brood_reloads_total{result="success"}`)
}

func (f *foreman) reloadWithOneDeaf() {
	slot := f.anySlot()
	f.ask(slot, "/deaf")
	f.reloadBut(slot)
	f.done["reload over a deaf worker"]++
}

func (f *foreman) scale() {
	to := 3 + rand.IntN(5)
	if to == f.wanted {
		to++
	}
	f.brood("scale", strconv.Itoa(to))
	for slot := f.wanted + 1; slot <= to; slot++ {
		f.count(1, `brood_worker_starts_total{worker="%d"}`, slot)
	}
	for slot := to + 1; slot <= f.wanted; slot++ {
		f.ended(slot, "stopped", 0, "")
	}
	f.count(1, `brood_scalings_total{cause="asked"}`)
	f.wanted = to
	f.done["scale"]++
	if to > f.most { // what happens before its first scrape is no increase for Prometheus
		f.most = to
		f.allReady()
		f.scraped()
	}
}

// orphans are 3 processes whose parents do not wait for them.
func (f *foreman) orphans() {
	for range 3 {
		f.ask(f.anySlot(), "/orphan/9")
	}
	f.count(3, `brood_reaped_processes_total{kind="orphan"}`)
	f.count(3, `brood_reaped_exit_codes_total{code="9"}`)
	f.done["orphan"] += 3
}

func (f *foreman) forward() {
	f.b.Signal(syscall.SIGWINCH)
	f.count(1, `brood_signals_received_total{signal="SIGWINCH"}`)
	f.count(float64(f.wanted), `brood_signals_forwarded_total{signal="SIGWINCH"}`)
	f.done["SIGWINCH"]++
	want := fmt.Sprintf("\nbrood_signals_forwarded_total{signal=\"SIGWINCH\"} %v\n", f.truth[`brood_signals_forwarded_total{signal="SIGWINCH"}`])
	until(f.t, "the signal has been forwarded", func() bool {
		text, err := page("http://" + f.address + "/metrics")
		return err == nil && strings.Contains(text, want)
	})
}
