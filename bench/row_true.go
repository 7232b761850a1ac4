package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// measureTrue races whole processes that run /bin/true.
func measureTrue(l *lab) ([]result, error) {
	none := peer{name: "no init", program: "/bin/true", words: func(string, int, []string) ([]string, error) { return nil, nil }}
	names, took, err := l.race("/bin/true", l.broodPeer(), l.peer("tini"), l.floor("init"), l.peer("dumb-init"), none)
	if err != nil {
		return nil, err
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

// race runs a program under inits by turns, those that are installed, so that
// what else the machine does hits all of them, and takes each whole process.
func (l *lab) race(program string, inits ...peer) (names []string, took map[string]samples, err error) {
	args := []string{strconv.Itoa(l.size.runs)}
	for _, p := range inits {
		if p.program == "" {
			continue
		}
		how, err := l.prepare(p, 1, program)
		if err != nil {
			return nil, nil, err
		}
		if len(names) > 0 {
			args = append(args, "::")
		}
		args = append(args, how.argv...)
		names = append(names, p.name)
	}
	out, err := l.output(l.c("race"), args...)
	if err != nil {
		return nil, nil, err
	}
	columns, err := parseColumns(out, len(names))
	if err != nil {
		return nil, nil, err
	}
	took = make(map[string]samples, len(names))
	for i, name := range names {
		took[name] = columns[i]
	}
	return names, took, nil
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
