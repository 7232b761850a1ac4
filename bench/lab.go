package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed floors/*.c floors/shared.h
var floors embed.FS

// lab is where the measuring is done: the binaries, and a directory of its own
// on tmpfs for PID files and what processes share.
type lab struct {
	ctx   context.Context
	size  sizes
	brood string
	bin   string // the directory of the C programs
	shm   string
	load  string       // of the machine before
	extra []string     // variables for the next program
	page  bytes.Buffer // the last one that was scraped

	programs map[string]string // those of Debian: name -> path; "" when it is not installed
}

// openLab builds what is measured. The caller closes it.
func openLab(ctx context.Context, brood string, size sizes) (*lab, error) {
	// Building brood is a load, too.
	l := &lab{ctx: ctx, size: size, load: loadAverage(), programs: make(map[string]string)}
	for _, d := range debian {
		if path, err := exec.LookPath(d.program); err == nil {
			l.programs[d.program] = path
		}
	}
	var err error
	if l.bin, err = os.MkdirTemp("", "brood-bench-"); err != nil {
		return nil, fmt.Errorf("cannot make a directory: %w", err)
	}
	shm := "/dev/shm"
	if _, err := os.Stat(shm); err != nil {
		shm = "" // no tmpfs here: the rows with PID files pay for the disk
	}
	if l.shm, err = os.MkdirTemp(shm, "brood-bench-"); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make a directory: %w", err), l.close())
	}
	if err := errors.Join(l.buildBrood(brood), l.buildFloors()); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// freeAddress is one that nobody listens on as yet.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func (l *lab) close() error {
	return errors.Join(os.RemoveAll(l.bin), os.RemoveAll(l.shm))
}

// buildBrood installs brood as a package or an image does, by writing it. Go's
// linker writes through a mapping, which leaves the file in memory as single
// pages: a program of ten megabytes starts a fifth slower from these.
func (l *lab) buildBrood(binary string) error {
	l.brood = filepath.Join(l.bin, "brood")
	if binary == "" {
		binary = l.brood + ".built"
		if err := l.goBuild(binary); err != nil {
			return err
		}
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	return os.WriteFile(l.brood, content, 0o755)
}

func (l *lab) goBuild(binary string) error {
	cmd := exec.CommandContext(l.ctx, "go", "build", "-trimpath", "-tags=nethttpomithttp2", "-ldflags=-s -w", "-o", binary, "github.com/brood-init/brood/cmd/brood")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return l.execute(cmd)
}

func (l *lab) buildFloors() error {
	entries, err := floors.ReadDir("floors")
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := floors.ReadFile("floors/" + e.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(l.bin, e.Name()), text, 0o644); err != nil {
			return err
		}
	}
	for _, e := range entries {
		name, isProgram := strings.CutSuffix(e.Name(), ".c")
		if !isProgram {
			continue
		}
		cmd := exec.CommandContext(l.ctx, "gcc", "-O2", "-static", "-o", l.c(name), l.c(e.Name()))
		if err := l.execute(cmd); err != nil {
			return err
		}
	}
	return nil
}

// c is the path of a C program.
func (l *lab) c(name string) string { return filepath.Join(l.bin, name) }

// missing lists the packages that are not installed.
func (l *lab) missing() (packages []string) {
	for _, d := range debian {
		if l.programs[d.program] == "" {
			packages = append(packages, d.in)
		}
	}
	return packages
}

// pattern is a fresh setting for --pidfile, on tmpfs.
func (l *lab) pattern(name string) (string, error) {
	dir, err := os.MkdirTemp(l.shm, name+"-")
	return filepath.Join(dir, "brood.pid"), err
}

// environ keeps what is measured from being set up by whoever runs the bench,
// and away from the PID files of this machine, which may be on a disk.
func (l *lab) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BROOD_") })
	return append(append(env, "BROOD_PIDFILE="+filepath.Join(l.shm, "brood.pid")), l.extra...)
}

// sharedFile is a fresh one for struct shared of floors/shared.h.
func (l *lab) sharedFile() (string, error) {
	f, err := os.CreateTemp(l.shm, "shared-")
	if err != nil {
		return "", fmt.Errorf("cannot make a file: %w", err)
	}
	defer f.Close()
	return f.Name(), f.Truncate(4096)
}

// output runs a program and returns what it prints.
func (l *lab) output(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(l.ctx, name, args...)
	cmd.Env = l.environ()
	var out strings.Builder
	cmd.Stdout = &out
	cmd.Cancel = func() error { return killAll(cmd.Process.Pid) }
	err := l.execute(cmd)
	return out.String(), err
}

// execute runs cmd. What it says on stderr goes to a file in memory, and the end
// of that becomes the error's.
func (l *lab) execute(cmd *exec.Cmd) error {
	said, err := os.CreateTemp(l.shm, "said-")
	if err != nil {
		return fmt.Errorf("cannot make a file: %w", err)
	}
	defer os.Remove(said.Name())
	defer said.Close()
	cmd.Stderr = said
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(said.Name())
		return fmt.Errorf("cannot run %q: %w: %s", filepath.Base(cmd.Path), err, tail(string(text), 300))
	}
	return nil
}

func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-n):]
}
