package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// measureTrue races whole processes that run /bin/true: inits by turns, so that
// what else the machine does hits all of them.
func measureTrue(l *lab) ([]result, error) {
	inits := []struct {
		name string
		argv []string
	}{
		{"brood", []string{l.brood, "-n1", "--", "/bin/true"}},
		{"C", []string{l.c("init"), "/bin/true"}},
		{"tini", []string{l.peers["tini"], "-s", "--", "/bin/true"}},
		{"dumb-init", []string{l.peers["dumb-init"], "--", "/bin/true"}},
		{"no init", []string{"/bin/true"}},
	}
	args := []string{strconv.Itoa(l.size.runs)}
	var names []string
	for _, init := range inits {
		if init.argv[0] == "" {
			continue
		}
		if len(names) > 0 {
			args = append(args, "::")
		}
		args = append(args, init.argv...)
		names = append(names, init.name)
	}
	out, err := l.output(l.c("race"), args...)
	if err != nil {
		return nil, err
	}
	columns, err := parseColumns(out, len(names))
	if err != nil {
		return nil, err
	}
	took := make(map[string]samples, len(names))
	for i, name := range names {
		took[name] = columns[i]
	}
	brood := took["brood"]
	main := result{brood: brood.String(), peer: "tini is missing"}
	if tini := took["tini"]; tini != nil {
		ratio := brood.over(tini)
		main.peer, main.ratio, main.verdict = "tini "+tini.String(), times(ratio), verdict(ratio <= 3)
	}
	all := []result{main}
	for _, name := range names {
		if name != "brood" && name != "tini" {
			all = append(all, result{
				what: "the same beside " + name, brood: brood.String(),
				peer: name + " " + took[name].String(), ratio: times(brood.over(took[name])),
			})
		}
	}
	return all, nil
}

// parseColumns reads lines of n times in ns.
func parseColumns(out string, n int) ([]samples, error) {
	columns := make([]samples, n)
	for line := range strings.Lines(out) {
		cells := strings.Fields(line)
		if len(cells) != n {
			return nil, fmt.Errorf("cannot read %q: %d times wanted", line, n)
		}
		for i, cell := range cells {
			ns, err := strconv.ParseInt(cell, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("cannot read %q as a time in ns: %w", cell, err)
			}
			columns[i] = append(columns[i], time.Duration(ns))
		}
	}
	if len(columns[0]) == 0 {
		return nil, fmt.Errorf("cannot read %q: no times in it", out)
	}
	return columns, nil
}
