package main

import (
	"fmt"
	"os"
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
	for _, d := range debian {
		if l.programs[d.program] != "" {
			parts = append(parts, d.in+" "+l.says("dpkg-query", "--show", "--showformat=${Version}", d.in))
		}
	}
	how := "Measured "
	if l.size.quick {
		how = "A quick run, not the whole one, measured "
	}
	return how + strings.Join(parts, ", ") + "; load average before " + l.load + "."
}

// loadAverage is that of the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// says is what a program prints, wherever it prints it.
func (l *lab) says(program string, args ...string) string {
	out, err := exec.CommandContext(l.ctx, program, args...).CombinedOutput()
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(out))
}
