package entrypoint

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kballard/go-shellquote"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/probe"
)

// FollowLimits says whether the number of workers follows the limits.
type FollowLimits string

// The values of --follow-limits.
const (
	FollowAuto FollowLimits = "auto" // as --processes is
	FollowOn   FollowLimits = "on"
	FollowOff  FollowLimits = "off"
)

// Check is how a worker shows that it is ready or alive.
type Check struct {
	fanout.Check
	After time.Duration // stay alive for so long; 0 for another check
	text  string
}

// String is the check as the setting takes it.
func (c Check) String() string { return c.text }

const (
	byNotify = "notify"
	byExec   = "exec:"
)

// parseReady reads every kind of check.
func parseReady(text string) (Check, error) {
	text = strings.TrimSpace(text)
	if d, err := parseDuration(text); err == nil {
		return Check{After: d, text: text}, nil
	}
	if text == byNotify {
		return Check{Check: fanout.Check{Notify: true}, text: text}, nil
	}
	check, err := parseQuestion(text)
	if err != nil {
		return Check{}, fmt.Errorf("%w; or a duration, or notify", err)
	}
	return check, nil
}

// parseLive reads the kinds of checks that can be repeated.
func parseLive(text string) (Check, error) {
	text = strings.TrimSpace(text)
	if text == none {
		return Check{}, nil
	}
	if text == byNotify {
		return Check{}, errors.New("want --watchdog for sd_notify, or a check such as tcp://127.0.0.1:8080, or none")
	}
	return parseQuestion(text)
}

// parseQuestion reads what is asked from outside.
func parseQuestion(text string) (Check, error) {
	line, isCommand := strings.CutPrefix(text, byExec)
	if !isCommand {
		p, err := probe.Parse(text)
		if err != nil {
			return Check{}, err
		}
		return Check{Check: fanout.Check{Prober: p}, text: text}, nil
	}
	words, err := shellquote.Split(line)
	if err != nil || len(words) == 0 || words[0] == "" {
		return Check{}, errors.New("want a command after exec:, in the words of a shell without one, such as exec:'pg_isready -q'")
	}
	c := Check{text: text}
	for _, word := range words {
		template, err := expand.Compile(word)
		if err != nil {
			return Check{}, err
		}
		c.Command = append(c.Command, template)
	}
	return c, nil
}
