package cgroup

import (
	"bytes"
	"fmt"
	"math"
)

// malformed names what was found, and no more of it than a log line can bear.
func malformed(b []byte) error {
	const enough = 40
	return fmt.Errorf("unexpected content %q", b[:min(len(b), enough)])
}

// chomp is b without the line end.
func chomp(b []byte) []byte { return bytes.TrimSuffix(b, []byte{'\n'}) }

// decimal is the value of b when b is nothing but ASCII digits, at least one,
// and fits.
func decimal(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := uint64(c - '0')
		if v > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		v = v*10 + digit
	}
	return v, len(b) > 0
}

// parseLimit reads memory.max, memory.limit_in_bytes, pids.max and
// pids.current. 0 is no limit: "max", or anything from 2^62 up, since v1 shows
// no limit as the largest multiple of the page size below 2^63. A limit of 0,
// which lets nothing happen at all, becomes 1.
func parseLimit(b []byte) (uint64, error) {
	b = chomp(b)
	if string(b) == "max" {
		return 0, nil
	}
	v, ok := decimal(b)
	if !ok {
		return 0, malformed(b)
	}
	if v >= 1<<62 {
		return 0, nil
	}
	return max(v, 1), nil
}

// parseQuota reads cpu.cfs_quota_us and cpu.cfs_period_us, in microseconds.
// 0 is no limit: -1 in the file.
func parseQuota(b []byte) (uint64, error) {
	b = chomp(b)
	if string(b) == "-1" {
		return 0, nil
	}
	v, ok := decimal(b)
	if !ok {
		return 0, malformed(b)
	}
	return v, nil
}

// parseCPUMax reads cpu.max, "QUOTA PERIOD" in microseconds, as CPUs. 0 is no
// limit: "max PERIOD" in the file.
func parseCPUMax(b []byte) (float64, error) {
	b = chomp(b)
	quotaText, periodText, _ := bytes.Cut(b, []byte{' '})
	period, ok := decimal(periodText)
	if !ok || period == 0 {
		return 0, malformed(b)
	}
	if string(quotaText) == "max" {
		return 0, nil
	}
	quota, ok := decimal(quotaText)
	if !ok {
		return 0, malformed(b)
	}
	return float64(quota) / float64(period), nil
}

// parseCPUList counts the CPUs of a list such as "0-3,7" (cpuset(7), "List
// format"). An empty list is 0.
func parseCPUList(b []byte) (int, error) {
	b = chomp(b)
	if len(b) == 0 {
		return 0, nil
	}
	const most = 1 << 20 // far above any NR_CPUS, far below an overflow
	count := uint64(0)
	for item := range bytes.SplitSeq(b, []byte{','}) {
		firstText, lastText, isRange := bytes.Cut(item, []byte{'-'})
		if !isRange {
			lastText = firstText
		}
		first, ok := decimal(firstText)
		last, ok2 := decimal(lastText)
		if !ok || !ok2 || last < first || last >= most {
			return 0, malformed(b)
		}
		if count += last - first + 1; count > most {
			return 0, malformed(b)
		}
	}
	return int(count), nil
}

// parseMemTotal finds the memory of the machine, in bytes, in /proc/meminfo,
// which has it in KiB ("kB").
func parseMemTotal(b []byte) (uint64, error) {
	for text := range bytes.Lines(b) {
		rest, found := bytes.CutPrefix(chomp(text), []byte("MemTotal:"))
		if !found {
			continue
		}
		digits, isKiB := bytes.CutSuffix(bytes.TrimLeft(rest, " "), []byte(" kB"))
		kib, ok := decimal(digits)
		if !ok || !isKiB || kib > math.MaxUint64/1024 {
			return 0, malformed(text)
		}
		return kib * 1024, nil
	}
	return 0, malformed(b)
}
