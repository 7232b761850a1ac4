package peers_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// Why brood's answer to a signal is not tini's, by signal.
func whyOther(sig int, tini, brood string) string {
	switch {
	case tini == brood:
		return ""
	case tini == ends && brood == dropped:
		return "brood survives it"
	case sig == 27 || sig == 23:
		return "the Go runtime sends these to itself, so they cannot be told from its own"
	case sig == 34:
		return "the C library's (musl's), and Go cannot be notified of it"
	case sig == 13:
		return "PIPE is about brood's own descriptors"
	}
	return "?"
}

const (
	forwarded = "forwarded"
	dropped   = "dropped"
	ends      = "ends the init"
	stops     = "stops the child"
)

// afterSignal sends one signal and tells what it does. The child has all
// signals blocked and so keeps what it gets; a second signal, which all inits
// forward, marks the time at which the first one would be there.
func afterSignal(t *testing.T, m harness.Mode, p peer, sig int) string {
	t.Helper()
	b := p.start(t, m, harness.Options{LeavesFiles: true}, "worker", "blocked", "sleep", "300")
	var child harness.Process
	harness.Until(t, "the child sleeps", func() bool {
		below := harness.Descendants(b.PID)
		if len(below) != 1 || below[0].Comm != "sleep" {
			return false
		}
		child = below[0]
		return true
	})
	defer func() {
		_ = harness.Kill(child.PID, unix.SIGKILL)
		_ = harness.Kill(b.PID, unix.SIGCONT)
		b.Wait()
	}()
	// A signal must not come before the init is ready for it.
	harness.Until(t, "the init sleeps", func() bool { i, _ := harness.Look(b.PID); return i.State == 'S' })
	const last = 64 // brood takes it last
	harness.Until(t, "the init forwards", func() bool {
		_ = harness.Kill(b.PID, unix.Signal(last))
		c, _ := harness.Look(child.PID)
		return slices.Contains(c.SignalSet("ShdPnd"), last)
	})
	if sig == last {
		return forwarded
	}
	b.Signal(syscall.Signal(sig))
	marker := 10
	if sig == marker {
		marker = 12
	}
	answer := ""
	// Of two signals that are pending at once the lower number goes first, so the
	// marker may be there before the one that was sent before it.
	var marked time.Time
	harness.Until(t, fmt.Sprintf("it is known what %d does", sig), func() bool {
		if b.HasEnded() {
			answer = ends
			return true
		}
		c, ok := harness.Look(child.PID)
		if !ok {
			return false
		}
		got := c.SignalSet("ShdPnd")
		if c.State == 'T' {
			answer = stops
			return true
		}
		if init, _ := harness.Look(b.PID); init.State == 'T' {
			_ = harness.Kill(b.PID, unix.SIGCONT)
		}
		if !slices.Contains(got, marker) {
			_ = harness.Kill(b.PID, unix.Signal(marker))
			return slices.Contains(got, sig) && setAnswer(&answer, forwarded)
		}
		if slices.Contains(got, sig) {
			return setAnswer(&answer, forwarded)
		}
		if marked.IsZero() {
			marked = time.Now()
		}
		return time.Since(marked) > overtaken && setAnswer(&answer, dropped)
	})
	return answer
}

// overtaken is how long the slower of two signals may take.
const overtaken = 300 * time.Millisecond

func setAnswer(answer *string, what string) bool {
	*answer = what
	return true
}

// everySignal is for the table; otherwise three real-time signals stand for all.
func everySignal() bool { return harness.Full() || os.Getenv("BROOD_COMPARE_OUT") != "" }

func TestWhatTheChildGetsOfEachSignal(t *testing.T) {
	for _, m := range harness.Modes {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			m.Need(t)
			answers := make(map[string]map[int]string)
			for _, p := range peers {
				answers[p.name] = make(map[int]string)
				for sig := 1; sig <= 64; sig++ {
					if sig == 9 || sig == 19 || sig == 17 || sig > 36 && sig < 64 && !everySignal() {
						continue
					}
					answers[p.name][sig] = afterSignal(t, m, p, sig)
				}
				noteSignals(p, m, answers[p.name])
			}
			for sig := 1; sig <= 64; sig++ {
				switch why := whyOther(sig, answers["tini"][sig], answers["brood"][sig]); why {
				case "":
				case "?":
					t.Errorf("signal %d: tini %q, dumb-init %q, brood %q, and there is no reason for that",
						sig, answers["tini"][sig], answers["dumb-init"][sig], answers["brood"][sig])
				default:
					t.Logf("signal %d: tini %q, brood %q: %s", sig, answers["tini"][sig], answers["brood"][sig], why)
				}
			}
		})
	}
}

// noteSignals puts the numbers into the table, with ranges drawn together.
func noteSignals(p peer, m harness.Mode, answers map[int]string) {
	for row, answer := range map[string]string{
		"20 signals that reach the child": forwarded, "22 signals that end the init": ends, "21 signals that stop the child": stops,
	} {
		var numbers []int
		for sig := 1; sig <= 64; sig++ {
			if answers[sig] == answer {
				numbers = append(numbers, sig)
			}
		}
		text := ranges(numbers)
		if text == "" {
			text = "none"
		}
		results.note(row+" ("+m.String()+")", p, text)
	}
}

func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if j > i {
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		} else {
			parts = append(parts, fmt.Sprint(numbers[i]))
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}
