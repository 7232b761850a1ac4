package prometheus_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

const slots = 4

// labourers starts brood with workers that burn CPU time, and a Prometheus.
func labourers(t *testing.T, flags ...string) (b *harness.Brood, p *server, dir string) {
	t.Helper()
	harness.Need(t, "prometheus")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	address := harness.Address(t)
	b = harness.Mode{}.StartWith(t, harness.Options{
		Args: append(append([]string{
			"-n", name(slots), "--metrics-addr", address,
			"--restart-backoff", "20ms..100ms", "--max-restarts", "1000/1m",
		}, flags...), "--", self, asLabourer, dir),
	})
	p = startPrometheus(t, address)
	p.becomes("up", 1)
	return b, p, dir
}

// deed is what is done to a worker, and what is to be said of it.
type deed struct {
	slot   int
	signal syscall.Signal
	reason string
	code   int // 0 if it is ended by the signal
}

func TestWhatPrometheusHasStoredIsWhatHappened(t *testing.T) {
	t.Parallel()
	b, p, dir := labourers(t)
	deeds := []deed{
		{1, endWith3, "failed", 3},
		{2, syscall.SIGKILL, "signaled", 0},
		{1, endWith3, "failed", 3},
		{3, endWith7, "failed", 7},
		{1, syscall.SIGHUP, "signaled", 0},
		{2, syscall.SIGKILL, "signaled", 0},
		{1, endWith7, "failed", 7},
		{4, syscall.SIGKILL, "signaled", 0},
	}
	incarnation := map[int]int{1: 1, 2: 1, 3: 1, 4: 1}
	for i, d := range deeds {
		before := b.Slot(d.slot)
		// A killed worker is to be hit at its work, another has to listen.
		if d.code != 0 {
			waits(t, dir, d.slot, incarnation[d.slot])
		} else {
			harness.File(t, filepath.Join(dir, fmt.Sprintf("%d.%d", d.slot, incarnation[d.slot])))
		}
		if err := harness.Kill(before, d.signal); err != nil {
			t.Fatal(err)
		}
		b.SlotAfter(d.slot, before)
		incarnation[d.slot]++
		if i%3 == 2 {
			p.scraped(1) // at other times several deeds come between two scrapes
		}
	}
	for slot, n := range incarnation {
		waits(t, dir, slot, n)
	}
	p.scraped(3)

	total := map[string]float64{}
	for slot, n := range incarnation {
		p.wants(fmt.Sprintf(`brood_worker_restarts_total{worker="%d"}`, slot), float64(n-1))
		p.wants(fmt.Sprintf(`brood_worker_starts_total{worker="%d"}`, slot), float64(n))
		want := map[string]float64{"completed": 0, "failed": 0, "signaled": 0, "oom": 0, "stopped": 0, "killed": 0, "unready": 0, "stuck": 0}
		for _, d := range deeds {
			if d.slot == slot {
				want[d.reason]++
			}
		}
		for reason, count := range want {
			p.wants(fmt.Sprintf(`brood_worker_exits_total{worker="%d", reason="%s"}`, slot, reason), count)
			total[reason] += count
		}
	}
	p.wants(`brood_reaped_exit_codes_total{code="3"}`, 2)
	p.wants(`brood_reaped_exit_codes_total{code="7"}`, 2)
	p.wants(`brood_reaped_exit_signals_total{signal="SIGKILL"}`, 3)
	p.wants(`brood_reaped_exit_signals_total{signal="SIGHUP"}`, 1)
	p.wants(`brood_reaped_processes_total{kind="worker"}`, total["failed"]+total["signaled"])
	p.wants(`brood_worker_last_exit_code{worker="1"}`, 7)
	p.wants(`brood_worker_last_exit_code{worker="2"}`, 137)
	p.wants(`sum(brood_worker_up)`, slots)
	p.wantsAlwaysUp("10m")
	p.becomes(`ALERTS{alertname="BroodWorkerRestarting", alertstate="firing", worker="1"}`, 1)
	if n := len(p.ask(`ALERTS{alertname="BroodWorkerRestarting", worker!="1"}`)); n != 0 {
		t.Errorf("%d workers are said to restart too often that did not", n)
	}

	for slot := range incarnation {
		wantCPU(t, p, dir, slot)
	}
	counters := p.ask(`{__name__=~"brood_.+_total|brood_.+_(count|sum|bucket)"}[10m]`)
	if len(counters) < 50 {
		t.Errorf("there are %d counters only", len(counters))
	}
	for _, s := range decreases(counters) {
		t.Errorf("a counter went down: %s", s)
	}
	b.Stop(t, 0)
	p.becomes("up", 0)
	p.becomes(`count({__name__=~"brood_.*"}) or vector(0)`, 0)
}

// wantCPU compares what Prometheus has stored with what the workers say they
// have used. /proc counts in hundredths of a second, user and system each, and a
// killed worker could not write its last account.
func wantCPU(t *testing.T, p *server, dir string, slot int) {
	t.Helper()
	said, incarnations := accounts(t, dir, slot)
	stored := p.stored(fmt.Sprintf(`sum(brood_worker_cpu_seconds_total{worker="%d"})`, slot))
	tolerance := 0.04*float64(incarnations) + 0.03*said.Seconds()
	t.Logf("slot %d has used %.3fs by its own account of %d incarnations, %.3fs as stored", slot, said.Seconds(), incarnations, stored)
	if math.Abs(stored-said.Seconds()) > tolerance {
		t.Errorf("slot %d has used %.3fs by its own account, %.3fs as stored: more than %.3fs apart",
			slot, said.Seconds(), stored, tolerance)
	}
}

func TestASlotWithoutAProcessHasNoGauges(t *testing.T) {
	t.Parallel()
	b, p, dir := labourers(t)
	const gauges = `{__name__=~"brood_worker_(resident_memory_bytes|virtual_memory_bytes|threads|open_fds|max_fds|pid|start_time_seconds|ready_time_seconds)", worker="4"}`
	waits(t, dir, 4, 1)
	p.becomes("count("+gauges+")", 8)
	if err := harness.Kill(b.Slot(4), endWith0); err != nil {
		t.Fatal(err)
	}
	b.WaitLog("worker completed while others run", "slot=4")
	p.becomes(`brood_worker_exits_total{worker="4", reason="completed"}`, 1)
	p.becomes("count("+gauges+") or vector(0)", 0)
	p.wants(`brood_worker_up{worker="4"}`, 0)
	p.wants(`brood_worker_state{worker="4", state="completed"}`, 1)
	p.wants(`sum(brood_worker_up)`, slots-1)
	wantCPU(t, p, dir, 4) // what it has done is not forgotten
	b.Stop(t, 0)
}

func TestAScaledDownSlotLeavesNoGauges(t *testing.T) {
	t.Parallel()
	b, p, dir := labourers(t)
	if !strings.Contains(harness.Content("../../docs/brood.1"), "scale") {
		b.Stop(t, 0)
		t.Skip("this brood has no verb to scale")
	}
	for slot := range slots {
		waits(t, dir, slot+1, 1)
	}
	p.becomes(`count(brood_worker_resident_memory_bytes)`, slots)
	for wanted := slots - 1; wanted >= slots-2; wanted-- {
		b.Signal(syscall.SIGTTOU) // two at once would be one
		p.becomes(`brood_workers_desired`, float64(wanted))
	}
	p.becomes(`count(brood_worker_resident_memory_bytes)`, slots-2)
	p.becomes(`count(brood_worker_state == 1)`, slots-2)
	b.Signal(syscall.SIGTTIN)
	p.becomes(`count(brood_worker_resident_memory_bytes)`, slots-1)
	waits(t, dir, 3, 2)
	p.scraped(2)
	wantCPU(t, p, dir, 3)
	for _, s := range decreases(p.ask(`{__name__=~"brood_.+_total"}[10m]`)) {
		t.Errorf("a counter went down: %s", s)
	}
	b.Stop(t, 0)
}

// Nothing of the stop would be seen if the page went before the workers.
func TestTheStopIsScrapedWhileItLasts(t *testing.T) {
	t.Parallel()
	b, p, dir := labourers(t, "--drain-delay", "4s", "--stop-timeout", "12s")
	for slot := range slots {
		waits(t, dir, slot+1, 1)
	}
	b.Signal(syscall.SIGTERM)
	p.becomes(`brood_state{state="draining"}`, 1)
	p.wants(`sum(brood_worker_up)`, slots)
	began := time.Now()
	b.WantCode(t, 0)
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("the stop took %s more", took)
	}
	p.becomes("up", 0)
	p.wants(`max_over_time(brood_signals_received_total{signal="SIGTERM"}[1m])`, 1)
}
