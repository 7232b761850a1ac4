// Package browser_test opens the status page of a real brood in a real Chromium.
//
// It needs the program chromium. With BROOD_TEST_SCREENSHOTS=DIR it leaves
// pictures there, to be looked at.
package browser_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// tab is a page in a browser.
type tab struct {
	t       *testing.T
	ctx     context.Context
	address string // of the listener of metrics

	mu         sync.Mutex
	complaints []string // of the browser's console
}

// open starts a Chromium, which ends with the test, and opens the status page.
func open(t *testing.T, address string) *tab {
	t.Helper()
	chromium := harness.Need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox,
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")), chromedp.WSURLReadTimeout(2*time.Minute),
		chromedp.WindowSize(1200, 800))
	bounded, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	allocator, end := chromedp.NewExecAllocator(bounded, options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		closeTab()
		end()
		chromedp.FromContext(allocator).Allocator.Wait()
		cancel()
	})
	b := &tab{t: t, ctx: ctx, address: address}
	chromedp.ListenTarget(ctx, b.listen)
	b.do(log.Enable(), chromedp.Navigate("http://"+address+"/"))
	return b
}

// listen notes what the console says: violations of the policy, above all.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *log.EventEntryAdded:
		if event.Entry.Level == log.LevelError || event.Entry.Level == log.LevelWarning {
			b.complaints = append(b.complaints, event.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, event.ExceptionDetails.Error())
	}
}

// quiet fails the test if the browser has complained.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.complaints {
		b.t.Errorf("the browser says: %s", text)
	}
	b.complaints = nil
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// evaluate runs a script on the page.
func evaluate[T any](b *tab, script string) (value T) {
	b.t.Helper()
	b.do(chromedp.Evaluate(script, &value))
	return value
}

func text(b *tab, selector string) string {
	b.t.Helper()
	return evaluate[string](b, `document.querySelector(`+quoted(selector)+`)?.innerText ?? ""`)
}

// value is the exact number behind what is shown, or "".
func value(b *tab, selector string) string {
	b.t.Helper()
	return evaluate[string](b, `document.querySelector(`+quoted(selector+" data")+`)?.value ?? ""`)
}

func quoted(s string) string { return "`" + strings.ReplaceAll(s, "`", "") + "`" }

func (b *tab) becomes(what, selector, want string) {
	b.t.Helper()
	got := ""
	if !harness.Within(harness.Fatal, func() bool { got = text(b, selector); return strings.Contains(got, want) }) {
		b.t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

func (b *tab) dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// picture leaves a screenshot for people, if they have asked for it.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("BROOD_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	b.do(chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// fetch is what a path answers with.
func fetch(t *testing.T, address, path string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// samples are the values on the page of metrics, by name and labels.
func samples(t *testing.T, address string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(fetch(t, address, "/metrics")))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for name, family := range families {
		for _, m := range family.Metric {
			all[key(name, m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

func key(name string, m *dto.Metric) string {
	for _, label := range m.Label {
		name += " " + label.GetName() + "=" + label.GetValue()
	}
	return name
}
