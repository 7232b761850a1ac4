package life_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kballard/go-shellquote"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/test/internal/harness"
)

// cry is what workers say before they fail: it may be on stderr, on the control
// socket and in the termination message, and nowhere else.
const cry = "no-cheese"

// prelude is what all workers of these tests know. Those with a watchdog feed it,
// as long as they are not to end.
const prelude = `
fed() { test -n "$NOTIFY_SOCKET" && worker notify WATCHDOG=1 50ms || sleep 0.02; }
cry() { echo ` + cry + ` >&2; }
`

// other is what workers do that are not to end.
const other = `while :; do fed; done`

// ends are ways to end the worker of slot 1, while that of slot 2 lives.
func ends() map[fanout.Reason]struct {
	flags, script string // that cries when nothing else is left to do
	reload        bool   // it takes one
	code          int
} {
	const wait = "sleep 300 & wait"
	return map[fanout.Reason]struct {
		flags, script string
		reload        bool
		code          int
	}{
		fanout.ReasonCompleted: {"", "cry; exit 0", false, 0},
		fanout.ReasonFailed:    {"", "cry; exit 7", false, 7},
		fanout.ReasonSignaled:  {"", "cry; kill -SEGV $$", false, 139},
		fanout.ReasonStopped:   {"", "cry; exec sleep 300", true, 143},
		fanout.ReasonKilled:    {"--stop-timeout 1", "trap '' TERM; cry; " + wait + "; " + wait, true, 137},
		fanout.ReasonUnready:   {"--ready 'exec:test {slot} != 1' --ready-timeout 5s", "cry; exec sleep 300", false, 143},
		fanout.ReasonStuck:     {"--ready 50ms --watchdog 2s", "cry; exec sleep 300", false, 134},
	}
}

func TestAReasonIsTheSameEverywhere(t *testing.T) {
	cases := ends()
	for _, reason := range fanout.WorkerReasons() {
		end, ok := cases[reason]
		if !ok {
			if reason != fanout.ReasonOOM { // test/docker has a control group for it
				t.Errorf("nothing ends a worker for the reason %s", reason)
			}
			continue
		}
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			hook, gate, address := filepath.Join(t.TempDir(), "hook"), filepath.Join(t.TempDir(), "gate"), harness.Address(t)
			b := harness.Mode{}.StartWith(t, harness.Options{
				Args: append(append([]string{
					"-n2", "--output=prefix", "--metrics-addr", address, "--restart-backoff", "1m..1m",
					"--on-worker-exit", `sh -c 'test $BROOD_INCARNATION = 1 && echo "$BROOD_SLOT $BROOD_REASON $BROOD_EXIT_CODE" >>` + hook + `'`,
				}, words(t, end.flags)...), "--", "sh", "-c",
					prelude+"test $BROOD_SLOT = 2 -o $BROOD_INCARNATION != 1 && "+other+"; until test -e $GATE; do fed; done; "+end.script),
				Env: []string{"GATE=" + gate},
			})
			b.WaitLog("worker started", "slot=2")
			events := follow(t, b)
			touch(t, gate)
			if end.reload {
				b.WaitLog(cry)
				if _, code := ask(t, b, "reload"); code != 0 {
					t.Errorf("the reload ended with %d", code)
				}
			}
			line := b.WaitLog("worker exited", "slot=1", "code="+fmt.Sprint(end.code), "reason="+string(reason))
			fails := reason != fanout.ReasonCompleted && reason != fanout.ReasonStopped
			if told := strings.Contains(line, "last="+cry); told != fails {
				t.Errorf("the log tells the last words: %v", told)
			}
			told := fmt.Sprintf("1 %s %d\n", reason, end.code)
			harness.Until(t, "the hook is told", func() bool { return strings.Contains(harness.Content(hook), told) })
			last := lastExitOf(t, b)
			if last.Reason != string(reason) || last.Code != end.code || (last.LastLine == cry) != fails {
				t.Errorf("the status has %+v", last)
			}
			counted := `brood_worker_exits_total{reason="` + string(reason) + `",worker="1"} 1` + "\n"
			harness.Until(t, "the metrics count such an end", func() bool { return strings.Contains(get(t, address, "/metrics"), counted) })
			for _, path := range []string{"/", "/metrics", "/readyz", "/livez"} {
				if strings.Contains(get(t, address, path), cry) {
					t.Errorf("%s tells what the worker has said", path)
				}
			}
			harness.Until(t, "the events have such a reason", func() bool {
				return strings.Contains(harness.Content(events), `"reason":"`+string(reason)+`"`)
			})
			b.Stop(t, 0)
		})
	}
}

// What decides is in the termination message.
func TestTheTerminationMessageSaysWhyTheWorkerEnded(t *testing.T) {
	for reason, end := range ends() {
		if end.reload || reason == fanout.ReasonCompleted {
			continue // that decides nothing
		}
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "message")
			b := harness.Mode{}.StartWith(t, harness.Options{
				Args: append(append([]string{"-n2", "--fail-fast", "--output=json", "--termination-log", file}, words(t, end.flags)...),
					"--", "sh", "-c", prelude+"test $BROOD_SLOT = 2 && "+other+"; "+end.script, "secret-argument"),
				Env: []string{"TOKEN=secret-token"},
			})
			b.WantCode(t, end.code)
			text := harness.Content(file)
			first, second, _ := strings.Cut(text, "\n")
			var message struct {
				Code   int
				Slot   int
				Worker struct {
					Code     int
					Reason   string
					LastLine string `json:"last_line"`
				}
			}
			if err := json.Unmarshal([]byte(second), &message); err != nil {
				t.Fatalf("%v in %q", err, text)
			}
			w := message.Worker
			if message.Code != end.code || message.Slot != 1 || w.Code != end.code || w.Reason != string(reason) || w.LastLine != cry {
				t.Errorf("the message is %s", text)
			}
			if !strings.HasSuffix(first, cry) || strings.Contains(text, "secret") {
				t.Errorf("the message is %s", text)
			}
		})
	}
}

// What has died without a word leaves none of its predecessor's.
func TestTheLastWordsAreThoseOfTheOneThatEnded(t *testing.T) {
	t.Parallel()
	b := harness.Mode{}.Start(t, "-n1", "--output=prefix", "--restart-backoff", "10ms..10ms", "--", "sh", "-c",
		`case $BROOD_INCARNATION in 1) echo first >&2; exit 1;; 2) exit 2;; 3) printf 'no newline' >&2; exit 3;; esac; exec sleep 300`)
	b.WaitLog("worker started", "incarnation=4")
	for code, want := range map[int]string{1: "last=first", 2: "", 3: `last="no newline"`} {
		line := b.WaitLog("worker exited", fmt.Sprintf("code=%d", code))
		if _, got, _ := strings.Cut(line, "last="); want == "" && got != "" || !strings.Contains(line, want) {
			t.Errorf("code %d: %s", code, line)
		}
	}
	b.Stop(t, 0)
}

// A reader that hangs holds up what workers have said, and not their restart.
func TestAFailedWorkerIsReplacedAlthoughNobodyReadsItsLastWords(t *testing.T) {
	t.Parallel()
	read, write := pipeOf(t)
	b := harness.Mode{}.StartWith(t, harness.Options{
		Args: []string{
			"-n1", "--output=prefix", "--restart-backoff", "10ms..10ms", "--", "sh", "-c",
			`test $BROOD_INCARNATION -gt 3 && exec sleep 300; yes | head -c 20000000; echo bye >&2; exit 1`,
		},
		Stdout: write,
	})
	b.WaitLog("worker started", "incarnation=4")
	b.Stop(t, 0)
	_ = read.Close()
}

func TestABroodThatStartsNothingSaysWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags, env string
		code       int
		want       []string
	}{
		"prepare failed":   {"--prepare 'sh -c \"exit 4\"' -- true", "", 4, []string{`"reason":"failed"`, `"hook":"prepare"`, `"workers_started":0`}},
		"no prepare":       {"--prepare ./missing -- true", "", 127, []string{`"hook":"prepare"`, "the command was not found"}},
		"no such command":  {"-- ./missing", "", 127, []string{`"reason":"start-failed"`, "the command was not found"}},
		"a wrong variable": {"-- true", "BROOD_PROCESSES=secret", 2, []string{`"reason":"usage"`, `"setting":"BROOD_PROCESSES"`}},
		"a wrong flag":     {"-n secret -- true", "", 2, []string{`"reason":"usage"`, `"setting":"--processes"`}},
		"a socket in use":  {"--control /dev/null -- true", "", 2, []string{`"reason":"usage"`, `"setting":"--control"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, page := filepath.Join(dir, "message"), filepath.Join(dir, "page.prom")
			env := []string{"BROOD_TERMINATION_LOG=" + file, "BROOD_FINAL_METRICS=" + page}
			if test.env != "" {
				env = append(env, test.env)
			}
			b := harness.Mode{}.StartWith(t, harness.Options{Args: words(t, test.flags), Env: env})
			b.WantCode(t, test.code)
			text := harness.Content(file)
			for _, want := range append(test.want, fmt.Sprintf(`"code":%d`, test.code)) {
				if !strings.Contains(text, want) {
					t.Errorf("no %s in\n%s", want, text)
				}
			}
			if strings.Contains(text, "secret") || strings.Contains(text, "missing") {
				t.Errorf("it tells what was given:\n%s", text)
			}
			if test.code != 2 && !strings.Contains(harness.Content(page), "brood_build_info") {
				t.Error("there is no last page")
			}
		})
	}
}

// follow writes the events into a file until brood has left.
func follow(t *testing.T, b *harness.Brood) (path string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	harness.Until(t, "brood answers", func() bool { _, code := ask(t, b, "health", "--live"); return code == 0 })
	verb := exec.Command(harness.Binary(), "events", "--pidfile", b.PIDFile)
	verb.Stdout = out
	if err := verb.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = verb.Wait()
	}()
	t.Cleanup(func() {
		_ = verb.Process.Kill()
		<-ended
	})
	harness.Until(t, "events are followed", func() bool {
		b.Signal(syscall.SIGWINCH) // which ends nobody
		return harness.Content(out.Name()) != ""
	})
	return out.Name()
}

func lastExitOf(t *testing.T, b *harness.Brood) control.LastExit {
	t.Helper()
	said, _ := ask(t, b, "status", "-o", "json", "1")
	var status control.Status
	if err := json.Unmarshal([]byte(said), &status); err != nil || len(status.Slots) != 1 || status.Slots[0].LastExit == nil {
		t.Fatalf("the status is %s", said)
	}
	return *status.Slots[0].LastExit
}

// get is what brood answers, whatever the code.
func get(t *testing.T, address, path string) (text string) {
	t.Helper()
	client := http.Client{Timeout: harness.Fatal, Transport: &http.Transport{DisableKeepAlives: true}}
	harness.Until(t, "brood answers", func() bool {
		answer, err := client.Get("http://" + address + path)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		text = string(body)
		return err == nil
	})
	return text
}

func words(t *testing.T, text string) []string {
	t.Helper()
	list, err := shellquote.Split(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func pipeOf(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	return read, write
}
