package peers_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// printState is run by the child and says what it was started with. Each line
// is a fact with a name.
const printState = `
while read key value; do
	case $key in Sig[BI][lg][kn]:|NoNewPrivs:|Seccomp:|CapEff:|CapBnd:|Groups:|Cpus_allowed:|CoreDumping:) echo "$key $value";; esac
done </proc/$$/status
while read key value; do echo "limit $key $value"; done </proc/$$/limits
for fd in /proc/$$/fd/*; do
	n=${fd##*/}
	test $n -lt 10 && echo "fd $n $(readlink $fd)"
done
echo "cwd $(pwd)"
echo "umask $(umask)"
echo "nice $(nice)"
echo "oom $(cat /proc/$$/oom_score_adj)"
echo "slack $(cat /proc/$$/timerslack_ns 2>/dev/null)"
env | sort | while read -r line; do echo "env $line"; done
`

// Facts that may differ from the caller's, by init, with the reason.
var otherState = map[string]map[string]string{
	"brood": {
		"SigBlk:": "the Go runtime unblocks what it must be able to handle itself: of TERM, USR1 and TTIN it loses TERM",
		"SigIgn:": "the Go runtime replaces what was ignored, except HUP, INT and the three of job control, before main begins: USR2 is lost",
	},
	"dumb-init": {
		"SigIgn:": "dumb-init sets all signals back to their default",
		"SigBlk:": "dumb-init empties the mask",
	},
}

func TestTheChildStartsAsIfThereWereNoInit(t *testing.T) {
	for _, m := range harness.Modes {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			m.Need(t)
			bare := state(t, m, peer{name: "nothing", program: "/usr/bin/env"})
			for _, p := range peers {
				got := state(t, m, p)
				differences := compare(bare, got)
				for _, d := range differences {
					if why := otherState[p.name][d.fact]; why != "" {
						t.Logf("%s: %s is %q, without an init %q: %s", p.name, d.fact, d.got, d.want, why)
					} else if p.name == "brood" {
						t.Errorf("brood: %s is %q, without an init %q", d.fact, d.got, d.want)
					}
				}
				var facts []string
				for _, d := range differences {
					facts = append(facts, strings.TrimSuffix(d.fact, ":"))
				}
				cell := "as the caller's"
				if len(facts) > 0 {
					cell = "not " + strings.Join(facts, ", ")
				}
				results.note("30 mask, ignored set, limits, fds, cwd, umask, nice, environment of the child", p, cell)
			}
		})
	}
}

type difference struct{ fact, got, want string }

// compare leaves out brood's own variables.
func compare(want, got map[string]string) (all []difference) {
	for fact, w := range want {
		if g := got[fact]; g != w {
			all = append(all, difference{fact, g, w})
		}
	}
	for fact, g := range got {
		if _, ok := want[fact]; !ok && !strings.HasPrefix(fact, "env BROOD_") {
			all = append(all, difference{fact, g, ""})
		}
	}
	slices.SortFunc(all, func(a, b difference) int { return strings.Compare(a.fact, b.fact) })
	return all
}

// state runs the printer under conditions that a careless init would lose.
func state(t *testing.T, m harness.Mode, p peer) map[string]string {
	t.Helper()
	dir := t.TempDir()
	born, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer born.Close()
	stdin, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := os.Create(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	b := p.start(t, m, harness.Options{
		Dir: "/usr", Extra: []*os.File{born}, Stdin: stdin, Stdout: out,
		Env: []string{"A=1", "EMPTY=", "B=two words"},
		Stage: harness.Stage{
			Block:  []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGTTIN},
			Ignore: []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGTTOU, syscall.SIGUSR2},
			Umask:  0o037, Nice: 2, NoFile: 777,
		},
	}, "sh", "-c", printState)
	if code := b.Wait(); code != 0 {
		t.Fatalf("%s ended with %d: %s", p, code, b.Stderr)
	}
	facts := make(map[string]string)
	for line := range strings.Lines(harness.Content(out.Name())) {
		line = strings.TrimSuffix(line, "\n")
		words := strings.SplitN(line, " ", 3)
		switch words[0] {
		case "limit":
			facts["limit "+words[1]] += line
		case "env":
			key, value, _ := strings.Cut(strings.TrimPrefix(line, "env "), "=")
			if key != "_" && key != "TEST_MARK" {
				facts["env "+key] = value
			}
		case "fd":
			leads, _, _ := strings.Cut(words[2], ":[") // pipe:[123]
			facts["fd "+words[1]] = strings.ReplaceAll(leads, dir, "DIR")
		default:
			facts[words[0]] = strings.TrimPrefix(line, words[0])
		}
	}
	return facts
}
