package entrypoint

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/brood-init/brood/fanout"
)

// longest bounds every duration, so that sums of several never overflow.
const longest = 365 * 24 * time.Hour

const wantDuration = "want a duration such as 10s or 1m30s, or seconds"

// parseDuration reads Go's form, or bare seconds with or without a fraction.
func parseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	d, err := time.ParseDuration(text)
	if strings.Trim(text, "-+0123456789.") == "" {
		var seconds float64
		seconds, err = strconv.ParseFloat(text, 64)
		// Converting what no int64 holds has no defined result.
		seconds = max(-longest.Seconds()-1, min(seconds, longest.Seconds()+1))
		d = time.Duration(math.Round(seconds * float64(time.Second)))
	}
	switch {
	case err != nil:
		return 0, errors.New(wantDuration)
	case d < 0:
		return 0, errors.New(wantDuration + ", not negative")
	case d > longest:
		return 0, errors.New(wantDuration + ", not more than a year")
	}
	return d, nil
}

// parseLimit is parseDuration for what may have no bound, which is 0.
func parseLimit(text string) (time.Duration, error) {
	if strings.TrimSpace(text) == none {
		return 0, nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%w, or none", err)
	}
	return d, nil
}

// parsePositive is parseDuration for what cannot be 0.
func parsePositive(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err == nil && d == 0 {
		err = errors.New(wantDuration + ", above 0")
	}
	return d, err
}

// StopTimeout is the budget of a stop.
type StopTimeout struct {
	Auto   bool
	Budget time.Duration // settled by Load when Auto
	// Reason is why the budget is what it is: "kubernetes", "default", or the
	// Source of the setting.
	Reason string
}

// What auto stands for: under Kubernetes containers have 30 s by default,
// under docker 10 s, and the engine's own clock starts before ours.
const (
	stopTimeoutKubernetes = 28 * time.Second
	stopTimeoutDocker     = 9 * time.Second
)

func parseStopTimeout(text string) (StopTimeout, error) {
	if strings.TrimSpace(text) == "auto" {
		return StopTimeout{Auto: true}, nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return StopTimeout{}, fmt.Errorf("%w, or auto", err)
	}
	return StopTimeout{Budget: d}, nil
}

// parseBackoff reads MIN..MAX, or one duration for both.
func parseBackoff(text string) (fanout.Backoff, error) {
	low, high, ranged := strings.Cut(text, "..")
	if !ranged {
		high = low
	}
	shortest, err := parseDuration(low)
	longest, err2 := parseDuration(high)
	switch {
	case err != nil || err2 != nil:
		return fanout.Backoff{}, errors.New("want MIN..MAX, such as 100ms..30s")
	case shortest > longest:
		return fanout.Backoff{}, errors.New("want MIN..MAX with MIN not above MAX, such as 100ms..30s")
	case longest < time.Millisecond:
		return fanout.Backoff{}, errors.New("want MIN..MAX with MAX at least 1ms, such as 100ms..30s")
	}
	return fanout.Backoff{Min: shortest, Max: longest}, nil
}

func parseCrashBudget(text string) (fanout.CrashBudget, error) {
	left, right, _ := strings.Cut(text, "/")
	n, err := parseCount(strings.TrimSpace(left), 0)
	window, err2 := parseDuration(right)
	if err != nil || err2 != nil || window == 0 {
		return fanout.CrashBudget{}, fmt.Errorf("want N/TIME, such as 10/5m, with N from 0 to %d", maxProcesses)
	}
	return fanout.CrashBudget{Failures: n, Window: window}, nil
}
