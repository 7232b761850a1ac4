package browser_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/brood-init/brood/test/internal/harness"
)

// hostile is what workers say of themselves.
const hostile = `</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>`

// begin starts three workers that do nothing, and looks at them.
func begin(t *testing.T, flags ...string) (*harness.Brood, *tab) {
	t.Helper()
	harness.Need(t, "chromium")
	address := harness.Address(t)
	args := append([]string{"-n3", "--metrics-addr", address, "--ready", "notify", "--restart-backoff", "50ms..100ms"}, flags...)
	b := harness.Mode{}.StartWith(t, harness.Options{
		Args: append(args, "--", "sh", "-c", `worker notify "STATUS=$HOSTILE" 20ms; worker notify READY=1 20ms; exec worker wait`),
		Env:  []string{"HOSTILE=" + hostile},
	})
	b.WaitRunning(3)
	harness.Until(t, "the brood is ready", func() bool { return strings.HasPrefix(fetch(t, address, "/readyz"), "ok") })
	return b, open(t, address)
}

func TestThePageInABrowser(t *testing.T) {
	b, p := begin(t)
	t.Run("says what the metrics say", func(t *testing.T) { saysWhatTheMetricsSay(t, p.with(t)) })
	t.Run("shows nothing that workers say", func(t *testing.T) { showsNothingThatWorkersSay(t, p.with(t)) })
	t.Run("is a table for a screen reader", func(t *testing.T) { isATable(t, p.with(t)) })
	t.Run("can be read in light and dark", func(t *testing.T) { canBeRead(t, p.with(t)) })
	t.Run("fits on a phone", func(t *testing.T) { fitsOnAPhone(t, p.with(t)) })
	t.Run("follows without being loaded again", func(t *testing.T) { follows(t, b, p.with(t)) })
	t.Run("fits on every screen", func(t *testing.T) { fitsOnEveryScreen(t, p.with(t)) })
	t.Run("is there without its script", func(t *testing.T) { isThereWithoutScript(t, p.with(t)) })
	p.quiet()
	t.Run("tells when nobody answers", func(t *testing.T) {
		p.with(t).do(chromedp.Reload())
		b.Stop(t, 0)
		p.becomes("after the end", "#link", "No answer since")
	})
}

// with is the tab for another test.
func (b *tab) with(t *testing.T) *tab { b.t = t; return b }

func saysWhatTheMetricsSay(t *testing.T, p *tab) {
	row := func(slot int, column string) string { return fmt.Sprintf("#slot-%d [data-label=%q]", slot, column) }
	compared := 0
	// Workers that wait use no time, but for moments: what has changed between
	// two pages of metrics is not compared with the page in between.
	harness.Until(t, "nothing has changed between two scrapes", func() bool {
		before := samples(t, p.address)
		p.do(chromedp.Reload())
		shown := map[string]string{
			"brood_workers_desired": value(p, "#wanted"), "brood_registered_processes": value(p, "#registered"),
			"brood_state state=" + text(p, "#phase"): "1",
		}
		cpu := make(map[int]string)
		for slot := 1; slot <= 3; slot++ {
			worker := " worker=" + strconv.Itoa(slot)
			shown["brood_worker_pid"+worker] = value(p, row(slot, "PID"))
			shown["brood_worker_restarts_total"+worker] = value(p, row(slot, "Restarts"))
			shown["brood_worker_resident_memory_bytes"+worker] = value(p, row(slot, "Memory"))
			shown["brood_worker_state state="+text(p, row(slot, "State"))+worker] = "1"
			cpu[slot] = value(p, row(slot, "CPU"))
		}
		after := samples(t, p.address)
		ready := 0
		for name, number := range after {
			if strings.HasPrefix(name, "brood_worker_state state=ready") {
				ready += int(number)
			}
		}
		for slot, seconds := range cpu {
			worker := " worker=" + strconv.Itoa(slot)
			total := func(of map[string]float64) float64 {
				return of["brood_worker_cpu_seconds_total mode=user"+worker] + of["brood_worker_cpu_seconds_total mode=system"+worker]
			}
			if got, err := strconv.ParseFloat(seconds, 64); err != nil || got < total(before)-1e-6 || got > total(after)+1e-6 {
				t.Errorf("CPU of slot %d: %q on the page, %v before, %v after", slot, seconds, total(before), total(after))
			}
		}
		if got := value(p, "#ready"); got != strconv.Itoa(ready) {
			t.Errorf("ready: %q on the page, %d by the metrics", got, ready)
		}
		for name, text := range shown {
			was, known := before[name]
			if is := after[name]; known && is == was {
				compared++
				if got, err := strconv.ParseFloat(text, 64); err != nil || got != is {
					t.Errorf("%s is %q on the page, and %v by the metrics", name, text, is)
				}
			}
		}
		return compared >= 15
	})
}

func showsNothingThatWorkersSay(t *testing.T, p *tab) {
	if evaluate[bool](p, `"hacked" in window`) || strings.Contains(fetch(t, p.address, "/"), "hacked") {
		t.Error("what a worker said of itself has reached the page")
	}
	if n := evaluate[int](p, `document.scripts.length + 10 * document.images.length`); n != 1 {
		t.Errorf("there is more than the one script: %d", n)
	}
}

func isATable(t *testing.T, p *tab) {
	for _, width := range []int64{1200, 360} { // a narrow table is laid out in another way
		p.do(emulation.SetDeviceMetricsOverride(width, 800, 1, false))
		// Not by cdproto's types: they refuse what newer browsers say besides.
		var tree struct {
			Nodes []struct {
				Ignored bool `json:"ignored"`
				Role    struct {
					Value string `json:"value"`
				} `json:"role"`
			} `json:"nodes"`
		}
		p.do(chromedp.ActionFunc(func(ctx context.Context) error {
			return cdp.Execute(ctx, accessibility.CommandGetFullAXTree, nil, &tree)
		}))
		roles := make(map[string]int)
		for _, node := range tree.Nodes {
			if !node.Ignored {
				roles[node.Role.Value]++
			}
		}
		for role, want := range map[string]int{"table": 1, "row": 4, "rowheader": 3, "columnheader": 8, "main": 1, "status": 2, "heading": 2} {
			if roles[role] != want {
				t.Errorf("%d pixels wide: %d times %s, want %d; there are %v", width, roles[role], role, want, roles)
			}
		}
	}
	p.do(emulation.ClearDeviceMetricsOverride())
}

// contrast is the lowest contrast of a text with what is behind it (WCAG 2).
const contrast = `(() => {
	const rgb = (c) => c.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
	const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
	let low = [21, ""];
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.nodeName)) continue;
		const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < low[0]) low = [ratio, e.outerHTML.slice(0, 80)];
	}
	return low[0].toFixed(2) + " " + low[1];
})()`

func canBeRead(t *testing.T, p *tab) {
	backgrounds := make(map[string]bool)
	for _, dark := range []bool{false, true} {
		p.dark(dark)
		backgrounds[evaluate[string](p, `getComputedStyle(document.body).backgroundColor`)] = true
		lowest := evaluate[string](p, contrast)
		ratio, _, _ := strings.Cut(lowest, " ")
		if n, err := strconv.ParseFloat(ratio, 64); err != nil || n < 4.5 {
			t.Errorf("dark %v: the lowest contrast is %s, want 4.5", dark, lowest)
		}
		p.picture(map[bool]string{false: "light", true: "dark"}[dark])
	}
	p.dark(false)
	if len(backgrounds) != 2 {
		t.Errorf("light and dark are the same: %v", backgrounds)
	}
}

func fitsOnAPhone(t *testing.T, p *tab) {
	p.do(emulation.SetDeviceMetricsOverride(360, 740, 2, true))
	if width := evaluate[int](p, `document.scrollingElement.scrollWidth`); width > 360 {
		t.Errorf("the page is %d pixels wide on a screen of 360", width)
	}
	if got := evaluate[string](p, `getComputedStyle(document.querySelector("#slot-1")).display`); got != "grid" {
		t.Errorf("a worker is laid out as %s", got)
	}
	p.picture("phone")
	p.do(emulation.ClearDeviceMetricsOverride())
}

// fitsOnEveryScreen is asked when ends have made the rows as long as they get.
func fitsOnEveryScreen(t *testing.T, p *tab) {
	for _, width := range []int64{320, 480, 768, 1024, 1119, 1121, 1280, 1920} {
		p.do(emulation.SetDeviceMetricsOverride(width, 800, 1, false))
		evaluate[bool](p, `document.querySelectorAll("[data-label=Age]").forEach((e) => e.textContent = "59 min 59 s") ?? true`)
		if is := evaluate[int64](p, `document.scrollingElement.scrollWidth`); is > width {
			t.Errorf("the page is %d pixels wide on a screen of %d", is, width)
		}
	}
	p.do(emulation.ClearDeviceMetricsOverride())
}

func follows(t *testing.T, b *harness.Brood, p *tab) {
	p.do(chromedp.Reload())
	if got := text(p, "#slot-2 [data-label=Restarts]"); got != "0" {
		t.Fatalf("restarts before: %q", got)
	}
	evaluate[bool](p, `document.querySelector("footer a").focus(); window.loadedOnce = true`)
	before := b.Slot(2)
	if err := harness.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := b.SlotAfter(2, before)
	p.becomes("restarts", "#slot-2 [data-label=Restarts]", "1")
	p.becomes("PID", "#slot-2 [data-label=PID]", strconv.Itoa(after))
	p.becomes("last end", `#slot-2 [data-label="Last end"]`, "signaled SIGKILL")
	p.becomes("last ends", ".ends", "slot 2")
	p.becomes("verdict", "#verdict", "Serving: 3 of 3 workers ready")
	p.picture("after")
	if !evaluate[bool](p, `window.loadedOnce === true`) {
		t.Error("the page was loaded again")
	}
	if got := evaluate[string](p, `document.activeElement.innerText`); got != "Metrics" {
		t.Errorf("the focus is on %q", got)
	}
	if got := evaluate[string](p, `document.title`); got != "3/3 ready · brood" {
		t.Errorf("title: %q", got)
	}
}

func isThereWithoutScript(t *testing.T, p *tab) {
	p.do(emulation.SetScriptExecutionDisabled(true), chromedp.Reload())
	var words string
	p.do(chromedp.Text("body", &words, chromedp.ByQuery))
	for _, want := range []string{"Serving: 3 of 3 workers ready", "leader", "SIGKILL", "Reload the page for newer figures."} {
		if !strings.Contains(words, want) {
			t.Errorf("without a script there is no %q:\n%s", want, words)
		}
	}
	p.do(emulation.SetScriptExecutionDisabled(false))
}
