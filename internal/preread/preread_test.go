package preread

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func write(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheInterpreterOfAScriptIsWhatTheKernelTakesItFor(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/sh\necho":                        "/bin/sh",
		"#! \t/usr/bin/env  python3 -u\n":        "/usr/bin/env",
		"#!/bin/sh":                              "/bin/sh",
		"#!relative\n":                           "relative",
		"#!\n/bin/sh":                            "",
		"echo no script\n":                       "",
		"":                                       "",
		"#!/" + strings.Repeat("x", 300) + " \n": "/" + strings.Repeat("x", scriptSize-3),
	} {
		if got := readProgram(unix.AT_FDCWD, write(t, text)); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}

func TestTheLoaderOfAProgramIsFound(t *testing.T) {
	for _, path := range []string{"/bin/sh", "/proc/self/exe"} {
		want := ""
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				name := make([]byte, p.Filesz)
				if _, err := p.ReadAt(name, 0); err != nil {
					t.Fatal(err)
				}
				want = strings.TrimRight(string(name), "\x00")
			}
		}
		_ = f.Close()
		if got := readProgram(unix.AT_FDCWD, path); got != want {
			t.Errorf("%s: loader %q, want %q", path, got, want)
		}
	}
}

// A loop of scripts, what is no file, and what lies about its headers.
func TestWhatCannotBeExecutedIsLeftToTheKernel(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.WriteFile(loop, []byte("#!"+loop+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	sh, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	liar := append([]byte{}, sh[:64]...)
	for i := 32; i < 40; i++ {
		liar[i] = 0xff // where the segments are
	}
	for _, path := range []string{loop, fifo, dir, "/nowhere", write(t, string(liar)), write(t, string(sh[:70]))} {
		Program("", path) // returns
	}
	Program("/nowhere", "/bin/sh")
	Program(dir, "loop")
}

func FuzzProgram(f *testing.F) {
	f.Add([]byte("#!/bin/sh\n"))
	if sh, err := os.ReadFile("/bin/sh"); err == nil {
		f.Add(sh[:min(len(sh), 2*headSize)])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = readProgram(unix.AT_FDCWD, write(t, string(text)))
	})
}

func BenchmarkProgram(b *testing.B) {
	for b.Loop() {
		Program("/", "/bin/sh")
	}
}
