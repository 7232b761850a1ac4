package main

import (
	"errors"
	"os/exec"
	"strconv"
)

func compareCommand(l *lab) ([]line, error) {
	some, others := able(l.peers(), cannotEnd)
	_, raced, err := l.race("/bin/true", some...)
	if err != nil {
		return nil, err
	}
	return []line{lineOf("`/bin/true` under it, the whole process",
		"From vfork to wait, the init included. s6-svscan, runsvdir and supervisord stay when their service has ended, and start it again if they are told to.",
		others, some, nil, func(p peer) cell { return took(raced[p.name]) })}, nil
}

func compareCodes(l *lab) ([]line, error) {
	const note = "Brood with `--restart never`, which makes it an init for one command."
	some, others := able(l.peers("--restart", "never"), cannotEnd)
	var lines []line
	for _, end := range []struct {
		what    string
		command []string
	}{
		{"exits with 7", []string{"/bin/sh", "-c", "exit 7"}},
		{"is killed by TERM", []string{"/bin/sh", "-c", "kill -TERM $$"}},
		{"is killed by KILL", []string{"/bin/sh", "-c", "kill -KILL $$"}},
		{"is not there", []string{l.c("nowhere")}},
		{"cannot be executed", []string{l.c("shared.h")}},
	} {
		codes := make(map[string]string)
		failed := byTurns(1, some, func(p peer) error {
			code, err := l.endsWith(p, end.command)
			codes[p.name] = strconv.Itoa(code)
			return err
		})
		lines = append(lines, lineOf("exit code when the command "+end.what, note, others, some, failed,
			func(p peer) cell { return said(codes[p.name]) }))
		if len(failed) > 0 {
			return lines, joined(failed)
		}
	}
	return lines, nil
}

// endsWith is the exit code of an init with a command.
func (l *lab) endsWith(p peer, command []string) (int, error) {
	how, err := l.prepare(p, 1, command...)
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(l.ctx, how.argv[0], how.argv[1:]...)
	cmd.Env = l.environ()
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), how.done()
}
