package stage

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAnOrderArrivesAsItWasSent(t *testing.T) {
	for _, c := range []Config{
		{Path: "/bin/true", Args: []string{"true"}},
		{
			Path: "x", Args: []string{"", "a b", strings.Repeat("y", 1<<20)}, Env: []string{"A=1", ""},
			Attributes: Attributes{
				Files: []int{9, 3}, Limits: []Limit{{7, 1, 1<<64 - 1}}, CPUs: []uint64{1, 0, 2}, Ignored: 1<<63 | 2,
				User: &User{UID: 1<<32 - 2, GID: 5, Groups: []uint32{6, 7}}, NoNewPrivs: true,
			},
		},
		{Path: "/x", Attributes: Attributes{User: &User{}}},
	} {
		message := c.Encode()
		if n := binary.LittleEndian.Uint64(message); n != uint64(len(message)-8) {
			t.Fatalf("the length is %d of %d", n, len(message)-8)
		}
		o, ok := decode(message[8:])
		if !ok {
			t.Fatalf("%.100q cannot be read", message)
		}
		got := Config{Path: text(o.path), Args: texts(o.argv), Env: texts(o.envv), Attributes: o.Attributes}
		if diff := cmp.Diff(c, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("it differs: %.1000s", diff)
		}
	}
}

func text(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

func texts(list []*byte) []string {
	var out []string
	for _, p := range list[:len(list)-1] {
		out = append(out, text(p))
	}
	return out
}

// Whatever arrives, decode neither panics nor takes more memory than came.
func FuzzDecode(f *testing.F) {
	c := Config{Path: "/bin/true", Args: []string{"true", "x"}, Env: []string{"A=1"}}
	c.User = &User{Groups: []uint32{1}}
	f.Add(c.Encode()[8:])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{255}, 64))
	f.Fuzz(func(t *testing.T, message []byte) {
		o, ok := decode(message)
		if !ok {
			return
		}
		if o.argv[len(o.argv)-1] != nil || o.envv[len(o.envv)-1] != nil || o.path == nil {
			t.Error("a list does not end")
		}
		total := len(text(o.path)) + len(strings.Join(texts(o.argv), "")) + len(strings.Join(texts(o.envv), ""))
		if total > len(message) {
			t.Errorf("%d bytes came out of %d", total, len(message))
		}
	})
}

func TestAFailureArrives(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	want := Failure{StepUID, 1<<32 - 2, syscall.EPERM}
	want.send(pair[0])
	buf := make([]byte, 100)
	n, err := syscall.Read(pair[1], buf)
	got, ok := ParseFailure(buf[:max(n, 0)])
	if err != nil || !ok || got != want {
		t.Errorf("%+v, %v, %v; want %+v", got, ok, err, want)
	}
	for _, bad := range [][]byte{nil, buf[:n-1], make([]byte, FailureSize), buf[:n+1]} {
		if f, ok := ParseFailure(bad); ok {
			t.Errorf("%q is read as %+v", bad, f)
		}
	}
}

// Who has the variable without being started by brood gets an error, and
// nothing of what the descriptor says is done.
func TestAForgedVariableIsRefused(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	strangers, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer strangers.Close()
	defer ours.Close()
	evil := Config{Path: "/bin/echo", Args: []string{"echo", "executed"}}
	if _, err := ours.Write(evil.Encode()); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"empty": "", "no number": "x:y", "no parent": "3", "another parent": "3:1", "no socket": "3:" + self,
		"a closed descriptor": "77:" + self, "a huge number": "99999999999999999999:" + self, "negative": "-1:" + self,
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^$")
			cmd.Env = []string{Marker + "=" + value, "GORACE=atexit_sleep_ms=0"}
			cmd.ExtraFiles = []*os.File{strangers}
			out, _ := cmd.CombinedOutput()
			want := "brood: " + Marker + " is brood's own variable: this process was not started by brood, unset it\n"
			if string(out) != want || cmd.ProcessState.ExitCode() != exitRefused {
				t.Errorf("code %d, %q; want %d, %q", cmd.ProcessState.ExitCode(), out, exitRefused, want)
			}
		})
	}
}

func TestABrokenOrderIsRefused(t *testing.T) {
	good := (&Config{Path: "/bin/echo", Args: []string{"echo", "executed"}}).Encode()
	for name, message := range map[string][]byte{
		"none": nil, "a short one": good[:len(good)-1], "a huge one": bytes.Repeat([]byte{255}, 64),
		"more than one": append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(good)-7)), good[8:]...), 0),
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			theirs := os.NewFile(uintptr(pair[1]), "stage")
			defer theirs.Close()
			if _, err := syscall.Write(pair[0], message); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Close(pair[0]); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe", "-test.run=^$")
			cmd.Env = Environment(3, os.Getpid())
			cmd.ExtraFiles = []*os.File{theirs}
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != exitRefused || !strings.Contains(string(out), "brood did not say what to start") {
				t.Errorf("code %d, %q", code, out)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	for _, n := range []int{0, 7, 10, 4194304, 1<<31 - 1} {
		if got, ok := atoi(itoa(n)); !ok || got != n {
			t.Errorf("%d became %d, %v", n, got, ok)
		}
	}
	for _, s := range []string{"", "-1", "+1", " 1", "1x", "99999999999999999999"} {
		if n, ok := atoi(s); ok {
			t.Errorf("%q is read as %d", s, n)
		}
	}
}

// What brood pays for the stage when it is none.
func BenchmarkNotAStage(b *testing.B) {
	for b.Loop() {
		if _, found := syscall.Getenv(Marker); found {
			b.Fatal("it is one")
		}
	}
}
