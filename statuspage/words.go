package statuspage

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/brood-init/brood/internal/signame"
)

func signalName(s syscall.Signal) string { return signame.Name(s) }

// age is a duration for people: the two units that matter.
func age(d time.Duration) string {
	d = max(0, d)
	switch s := int(d.Seconds()); {
	case s < 1:
		return "0 s"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
	}
}

// short is a duration that may be less than a second.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return age(d)
}

// bytes is an amount of memory.
func bytes(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for n >= 1024 && i < len(units)-1 {
		n /= 1024
		i++
	}
	digits := 0
	if n < 100 && i > 0 {
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + units[i]
}

// percent is a number of cores as top shows it: 100 % is one.
func percent(cores float64) string {
	digits := 0
	if cores < 0.1 {
		digits = 1
	}
	return strconv.FormatFloat(cores*100, 'f', digits, 64) + " %"
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// because says in words why a decision is as it is; reason is in those of
// cgroup.Decision. Unknown words say nothing.
func because(reason string) string {
	at := make(map[string]string)
	for field := range strings.FieldsSeq(reason) {
		key, value, _ := strings.Cut(field, "=")
		at[key] = value
	}
	size := func(key string) string {
		n, err := strconv.ParseFloat(at[key], 64)
		if err != nil {
			return "?"
		}
		return bytes(n)
	}
	switch at["source"] {
	case "requested":
		return "as asked for"
	case "affinity":
		return "because it may use " + at["affinity"] + " CPUs"
	case "cgroup":
		return "because the CPU quota is " + at["quota"]
	case "memory":
		return "because the memory limit of " + size("memory") + " holds no more of " + size("memory_per_process")
	case "pids":
		return "because the limit of " + at["pids_max"] + " tasks holds no more"
	case "min":
		return "because that is the least allowed"
	case "max":
		return "because that is the most allowed"
	}
	return ""
}
