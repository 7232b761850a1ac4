package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is one line about when and where this was measured, and against what.
func (l *lab) machine() string {
	var uts unix.Utsname
	release := "unknown"
	if unix.Uname(&uts) == nil {
		release = unix.ByteSliceToString(uts.Release[:])
	}
	parts := []string{
		time.Now().UTC().Format(time.DateOnly), l.says(l.brood, "version"), fmt.Sprintf("%d CPUs", runtime.NumCPU()), "Linux " + release,
		runtime.Version(), "gcc " + l.says("gcc", "-dumpfullversion"),
	}
	for _, name := range peers {
		if program := l.peers[name]; program != "" {
			parts = append(parts, name+" "+firstNumber(l.says(program, "--version")))
		}
	}
	return strings.Join(parts, ", ") + "."
}

// says is what a program prints, wherever it prints it.
func (l *lab) says(program string, args ...string) string {
	out, err := exec.CommandContext(l.ctx, program, args...).CombinedOutput()
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(out))
}

// firstNumber finds the version in a line about it.
func firstNumber(text string) string {
	for word := range strings.FieldsSeq(text) {
		word = strings.Trim(word, "v(),")
		if word != "" && word[0] >= '0' && word[0] <= '9' {
			return word
		}
	}
	return "?"
}
