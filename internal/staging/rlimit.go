package staging

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Limit is one of setrlimit(2). ParseRlimit makes it.
type Limit struct {
	Name       string // as prlimit(1) has it, such as "nofile"
	Soft, Hard uint64 // Unlimited is none
	resource   int
}

// Unlimited is RLIM_INFINITY.
const Unlimited = math.MaxUint64

const wantLimit = "want NAME=SOFT:HARD or NAME=BOTH, in numbers or unlimited, such as nofile=1024:4096"

// resources returns the limits that Linux has, in the units of setrlimit(2):
// bytes, seconds or pieces.
func resources() map[string]int {
	return map[string]int{
		"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
		"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
		"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
		"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
		"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
	}
}

// ParseRlimit reads "nofile=1024:2048", "core=unlimited" and their like.
func ParseRlimit(text string) (Limit, error) {
	name, value, ok := strings.Cut(strings.TrimSpace(text), "=")
	if !ok {
		return Limit{}, errors.New(wantLimit)
	}
	resource, known := resources()[name]
	if !known {
		names := make([]string, 0, 16)
		for n := range resources() {
			names = append(names, n)
		}
		slices.Sort(names)
		return Limit{}, fmt.Errorf("there is no limit %q: want one of %s", name, strings.Join(names, ", "))
	}
	soft, hard, two := strings.Cut(value, ":")
	if !two {
		hard = soft
	}
	l := Limit{Name: name, resource: resource}
	var softErr, hardErr error
	l.Soft, softErr = parseLimit(soft)
	l.Hard, hardErr = parseLimit(hard)
	switch {
	case softErr != nil || hardErr != nil:
		return Limit{}, errors.New(wantLimit)
	case l.Soft > l.Hard:
		return Limit{}, fmt.Errorf("its soft limit %s is above its hard limit %s: want SOFT:HARD", soft, hard)
	}
	return l, nil
}

func parseLimit(text string) (uint64, error) {
	switch text {
	case "unlimited", "infinity", "-1": // as in ulimit, systemd, docker
		return Unlimited, nil
	}
	return strconv.ParseUint(text, 10, 63) // strictly digits
}

// String is what ParseRlimit takes.
func (l Limit) String() string {
	return l.Name + "=" + formatLimit(l.Soft) + ":" + formatLimit(l.Hard)
}

func formatLimit(n uint64) string {
	if n == Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}
