package staging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brood-init/brood/internal/staging"
)

const helperVariable = "STAGING_TEST_HELPER"

// order is what a helper gets in the environment.
type order struct {
	What       string
	Attributes staging.Attributes
	Limits     []string // Limit has a private field
}

// helper is the test binary as a program that other users may execute too.
func helper(t *testing.T, what string, a staging.Attributes) staging.Command {
	t.Helper()
	o := order{What: what, Attributes: a}
	for _, l := range a.Limits {
		o.Limits = append(o.Limits, l.String())
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return staging.Command{
		Path: publicCopy(t), Args: []string{"brood"},
		Env: []string{helperVariable + "=" + string(text), "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"},
	}
}

// publicCopy is this binary where users other than root can reach it: the
// directory of go test is root's own.
func publicCopy(t *testing.T) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "staging") //nolint:usetesting // t.TempDir is root's own too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "brood")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, self, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func beHelper() int {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(helperVariable)), &o); err != nil {
		panic(err)
	}
	o.Attributes.Limits = nil
	for _, text := range o.Limits {
		l, err := staging.ParseRlimit(text)
		if err != nil {
			panic(err)
		}
		o.Attributes.Limits = append(o.Attributes.Limits, l)
	}
	s, err := staging.New("/proc")
	if err != nil {
		panic(err)
	}
	switch o.What {
	case "fail":
		_, err := start(s, staging.Command{Path: "/bin/true", Args: []string{"true"}, Attributes: o.Attributes})
		fmt.Println(err)
	case "compare":
		return compare(s)
	}
	return 0
}

// state are commands that print what a process inherits. None of them changes
// any of it before it prints.
func state() [][]string {
	return [][]string{
		{"/bin/cat", "/proc/self/status"},
		{"/bin/cat", "/proc/self/limits"},
		{"/bin/ls", "-l", "/proc/self/fd"},
		{"/bin/pwd", "-P"},
		{"/usr/bin/nice"},
		{"/usr/bin/env"},
		{"/bin/cat", "/proc/self/oom_score_adj", "/proc/self/personality", "/proc/self/timerslack_ns", "/proc/self/cgroup", "/proc/self/uid_map"},
	}
}

// compare prints the state of a worker that was started directly, and where the
// one that comes from the stage differs.
func compare(s *staging.Stage) int {
	for _, argv := range state() {
		c := staging.Command{Path: argv[0], Args: argv, Env: os.Environ()}
		var outs [2]string
		for i, via := range []*staging.Stage{nil, s} {
			p, err := start(via, c)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			out, _ := p.end()
			outs[i] = comparable(out)
		}
		if outs[0] != outs[1] {
			fmt.Printf("DIFFERS: %v\ndirectly:\n%s\nstaged:\n%s\n", argv, outs[0], outs[1])
		}
		fmt.Print(outs[0])
	}
	return 0
}

// comparable leaves out what differs between any two processes, and the queued
// signals, which are counted for the whole of the user.
func comparable(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(line, ":")
		switch key {
		case "Pid", "Tgid", "NStgid", "NSpid", "PPid", "NSpgid", "NSsid", "SigQ", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
			continue
		}
		if strings.HasPrefix(key, "Vm") || strings.HasPrefix(key, "Rss") || strings.HasPrefix(key, "x86_") {
			continue
		}
		if fields := strings.Fields(line); len(fields) > 3 && fields[len(fields)-2] == "->" {
			// ls -l: the number and what it leads to, but for pipes and ls's own.
			target := fields[len(fields)-1]
			if strings.HasPrefix(target, "pipe:") {
				target = "pipe"
			}
			if strings.HasPrefix(target, "/proc/") {
				continue
			}
			line = fields[0] + " " + fields[len(fields)-3] + " -> " + target + "\n"
		}
		kept.WriteString(line)
	}
	return kept.String()
}
