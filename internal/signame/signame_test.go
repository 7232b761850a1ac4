package signame

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestEverySignalHasANameAndAClass(t *testing.T) {
	want := map[syscall.Signal]struct {
		name  string
		class Class
	}{
		1: {"SIGHUP", Forwardable}, 2: {"SIGINT", Stop}, 3: {"SIGQUIT", Stop}, 4: {"SIGILL", Fatal},
		5: {"SIGTRAP", Fatal}, 6: {"SIGABRT", Fatal}, 7: {"SIGBUS", Fatal}, 8: {"SIGFPE", Fatal},
		9: {"SIGKILL", Uncatchable}, 10: {"SIGUSR1", Forwardable}, 11: {"SIGSEGV", Fatal}, 12: {"SIGUSR2", Forwardable},
		13: {"SIGPIPE", Own}, 14: {"SIGALRM", Forwardable}, 15: {"SIGTERM", Stop}, 16: {"SIGSTKFLT", Forwardable},
		17: {"SIGCHLD", Own}, 18: {"SIGCONT", Forwardable}, 19: {"SIGSTOP", Uncatchable}, 20: {"SIGTSTP", Forwardable},
		21: {"SIGTTIN", Forwardable}, 22: {"SIGTTOU", Forwardable}, 23: {"SIGURG", Runtime}, 24: {"SIGXCPU", Forwardable},
		25: {"SIGXFSZ", Forwardable}, 26: {"SIGVTALRM", Forwardable}, 27: {"SIGPROF", Runtime}, 28: {"SIGWINCH", Forwardable},
		29: {"SIGIO", Forwardable}, 30: {"SIGPWR", Forwardable}, 31: {"SIGSYS", Fatal}, 32: {"32", Runtime},
		33: {"33", Runtime}, 34: {"SIGRTMIN", Runtime}, 35: {"SIGRTMIN+1", Forwardable}, 37: {"SIGRTMIN+3", Forwardable},
		63: {"SIGRTMIN+29", Forwardable}, 64: {"SIGRTMAX", Forwardable},
	}
	for n := 36; n < 63; n++ {
		w := want[syscall.Signal(n)]
		w.name, w.class = "SIGRTMIN+"+strconv.Itoa(n-34), Forwardable
		want[syscall.Signal(n)] = w
	}
	for sig := first; sig <= last; sig++ {
		w := want[sig]
		if got := Name(sig); got != w.name {
			t.Errorf("signal %d is called %q, want %q", int(sig), got, w.name)
		}
		if got := ClassOf(sig); got != w.class {
			t.Errorf("%s is %s, want %s", Name(sig), got, w.class)
		}
		for _, spelling := range []string{
			w.name, strings.ToLower(w.name), strings.TrimPrefix(w.name, "SIG"), strconv.Itoa(int(sig)),
		} {
			if got, err := Parse(spelling); got != sig || err != nil {
				t.Errorf("Parse(%q) = %d, %v; want %d", spelling, int(got), err, int(sig))
			}
		}
	}
	for _, sig := range []syscall.Signal{-1, 0, 65, 1 << 20} {
		if Name(sig) != strconv.Itoa(int(sig)) || ClassOf(sig) != Invalid {
			t.Errorf("%d is no signal, but %q and %s", int(sig), Name(sig), ClassOf(sig))
		}
	}
}

func TestParseTakesWhatDockerAndKillTake(t *testing.T) {
	for s, want := range map[string]syscall.Signal{
		"iot": 6, "SIGIOT": 6, "CLD": 17, "sigcld": 17, "POLL": 29, "SIGPOLL": 29,
		"SigTerm": 15, "RTMIN+3": 37, "rtmin+0": 34, "sigRTMIN+30": 64, "RTMAX": 64, "RTMAX-0": 64,
		"RTMAX-14": 50, "SIGRTMAX-30": 34,
	} {
		if got, err := Parse(s); got != want || err != nil {
			t.Errorf("Parse(%q) = %d, %v; want %d", s, int(got), err, int(want))
		}
	}
}

func TestParseRefusesAllElseAndSaysWhatToWrite(t *testing.T) {
	for _, s := range []string{
		"", "SIG", "SIGSIGTERM", "TERM ", " 15", "0", "65", "015", "+9", "-9", "9.0", "0x9", "99999999999999999999",
		"RTMIN+", "RTMIN+31", "RTMIN-1", "RTMIN+-1", "RTMIN+01", "RTMAX-31", "RTMAX+1", "RTMIN+3+1", "SIG9", "32+1",
		"TERM\x00", "ſigterm", "Ktrap", "GEFINGERPOKEN",
	} {
		sig, err := Parse(s)
		if err == nil {
			t.Errorf("Parse(%q) = %s", s, Name(sig))
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, strconv.Quote(s)) || !strings.Contains(msg, "from 1 to 64") {
			t.Errorf("Parse(%q): %v", s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"TERM", "sigusr1", "64", "RTMIN+3", "RTMAX-14", "IOT", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sig, err := Parse(s)
		if err != nil {
			if sig != 0 {
				t.Errorf("Parse(%q) = %d beside %v", s, int(sig), err)
			}
			return
		}
		if again, err := Parse(Name(sig)); again != sig || err != nil {
			t.Errorf("%q is %d, called %q, which is %d, %v", s, int(sig), Name(sig), int(again), err)
		}
		if ClassOf(sig) == Invalid {
			t.Errorf("%q is %d, of no class", s, int(sig))
		}
	})
}
