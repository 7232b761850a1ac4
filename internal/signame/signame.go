// Package signame knows the signals of Linux by name and number, as signal(7)
// lists them for amd64 and arm64 (they are the same there), and by what a
// supervisor written in Go may do with them.
//
// Real-time signals are counted as glibc and Docker count them: RTMIN is 34,
// because the C library keeps 32 and 33, and RTMAX is 64.
package signame

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

const (
	first syscall.Signal = 1
	last  syscall.Signal = 64
	rtMin syscall.Signal = 34
	rtMax                = last
)

// names gives the standard signals their names, without SIG.
func names() [32]string {
	return [32]string{
		syscall.SIGHUP:    "HUP",
		syscall.SIGINT:    "INT",
		syscall.SIGQUIT:   "QUIT",
		syscall.SIGILL:    "ILL",
		syscall.SIGTRAP:   "TRAP",
		syscall.SIGABRT:   "ABRT",
		syscall.SIGBUS:    "BUS",
		syscall.SIGFPE:    "FPE",
		syscall.SIGKILL:   "KILL",
		syscall.SIGUSR1:   "USR1",
		syscall.SIGSEGV:   "SEGV",
		syscall.SIGUSR2:   "USR2",
		syscall.SIGPIPE:   "PIPE",
		syscall.SIGALRM:   "ALRM",
		syscall.SIGTERM:   "TERM",
		syscall.SIGSTKFLT: "STKFLT",
		syscall.SIGCHLD:   "CHLD",
		syscall.SIGCONT:   "CONT",
		syscall.SIGSTOP:   "STOP",
		syscall.SIGTSTP:   "TSTP",
		syscall.SIGTTIN:   "TTIN",
		syscall.SIGTTOU:   "TTOU",
		syscall.SIGURG:    "URG",
		syscall.SIGXCPU:   "XCPU",
		syscall.SIGXFSZ:   "XFSZ",
		syscall.SIGVTALRM: "VTALRM",
		syscall.SIGPROF:   "PROF",
		syscall.SIGWINCH:  "WINCH",
		syscall.SIGIO:     "IO",
		syscall.SIGPWR:    "PWR",
		syscall.SIGSYS:    "SYS",
	}
}

// Parse finds a signal by its name in any case, with or without SIG (TERM,
// sigterm; IOT, CLD and POLL too), by its number from 1 to 64, or as RTMIN,
// RTMIN+n, RTMAX and RTMAX-n. It says nothing on whether the signal can be
// caught or sent: see ClassOf.
func Parse(s string) (syscall.Signal, error) {
	if sig, ok := lookUp(s); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("cannot parse signal %q: "+
		"use a name such as TERM or SIGTERM, RTMIN+n, RTMAX-n, or a number from 1 to 64", s)
}

func lookUp(s string) (sig syscall.Signal, ok bool) {
	// Longer than any name; it also bounds what is worth a copy in capitals.
	if s == "" || len(s) > len("SIGRTMIN+30") {
		return 0, false
	}
	if n, ok := number(s); ok {
		sig = syscall.Signal(n)
		return sig, sig >= first && sig <= last
	}
	name := strings.TrimPrefix(capitals(s), "SIG")
	switch name {
	case "IOT":
		return syscall.SIGABRT, true
	case "CLD":
		return syscall.SIGCHLD, true
	case "POLL":
		return syscall.SIGIO, true
	case "RTMIN":
		return rtMin, true
	case "RTMAX":
		return rtMax, true
	}
	if above, ok := strings.CutPrefix(name, "RTMIN+"); ok {
		n, ok := number(above)
		return rtMin + syscall.Signal(n), ok && n <= int(rtMax-rtMin)
	}
	if below, ok := strings.CutPrefix(name, "RTMAX-"); ok {
		n, ok := number(below)
		return rtMax - syscall.Signal(n), ok && n <= int(rtMax-rtMin)
	}
	for n, known := range names() {
		if known != "" && known == name {
			return syscall.Signal(n), true
		}
	}
	return 0, false
}

// number reads one or two digits, no more: no sign, and no leading zero, which
// some would read as octal.
func number(s string) (n int, ok bool) {
	if s == "" || len(s) > 2 || len(s) == 2 && s[0] == '0' {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// capitals changes ASCII letters only: for strings.ToUpper a long s is an S,
// and "ſIGHUP" a signal.
func capitals(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 'a' + 'A'
		}
		return c
	}, s)
}

// Name is the name that Parse takes back: SIGTERM, SIGRTMIN+3. Signals that have
// none, 32 and 33 and whatever is no signal, go by their number alone.
func Name(sig syscall.Signal) string {
	switch {
	case sig >= first && sig < 32:
		return "SIG" + names()[sig]
	case sig == rtMin:
		return "SIGRTMIN"
	case sig == rtMax:
		return "SIGRTMAX"
	case sig > rtMin && sig < rtMax:
		return "SIGRTMIN+" + strconv.Itoa(int(sig-rtMin))
	}
	return strconv.Itoa(int(sig))
}
