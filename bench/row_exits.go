package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// exitLine is what the log says of an exit.
type exitLine struct {
	Msg  string `json:"msg"`
	PID  int    `json:"pid"`
	Code int    `json:"code"`
}

// measureExits restarts workers that exit at once, each with a code that its
// PID tells and with an orphan left behind, and compares what brood's log says
// of them with what they have counted themselves.
func measureExits(l *lab) ([]result, error) {
	shared, err := l.sharedFile()
	if err != nil {
		return nil, err
	}
	many := l.broodPeer("--log-format", "json", "--restart", "always", "--restart-backoff", "1ms..1ms", "--max-restarts", "100000/1s")
	how, err := l.prepare(many, 8, l.c("exits"), shared)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	r, err := l.beginProgram(shared, how.argv...)
	if err != nil {
		return nil, err
	}
	defer r.end()
	err = until(3*time.Minute, func() (bool, error) {
		n, err := sharedUint32(r.shared, offsetExits)
		if r.hasEnded() {
			err = fmt.Errorf("brood has ended: %s", r.saying())
		}
		return int(n) >= l.size.exits || l.ctx.Err() != nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make %d exits: %w", l.size.exits, err)
	}
	took := time.Since(begun)
	if err := setShared(r.shared, offsetEnd, 1); err != nil {
		return nil, err
	}
	// The last ones start, and stay: then the count stands still.
	if err := l.sleep(time.Second); err != nil {
		return nil, err
	}
	return exitsResult(r, took)
}

func exitsResult(r *running, took time.Duration) ([]result, error) {
	exited, err := sharedUint32(r.shared, offsetExits)
	if err != nil {
		return nil, err
	}
	log, err := os.Open(r.said.Name())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	told, wrong, err := readExits(log)
	if err != nil {
		return nil, err
	}
	left, err := zombies(r.pid())
	if err != nil {
		return nil, err
	}
	lost := int(exited) - told
	return []result{{
		brood:   fmt.Sprintf("%d lost, %d wrong of %d; %d zombies left", lost, wrong, exited, left),
		peer:    fmt.Sprintf("%.0f exits a second", float64(exited)/took.Seconds()),
		verdict: verdict(lost == 0 && wrong == 0 && left == 0),
	}}, nil
}

// readExits counts the exits that a log tells of, and those with a code that
// the process has not exited with.
func readExits(log io.Reader) (told, wrong int, err error) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line exitLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return told, wrong, fmt.Errorf("cannot read the log: %w", err)
		}
		if line.Msg != "worker exited" {
			continue
		}
		told++
		if line.Code != line.PID%251 {
			wrong++
		}
	}
	return told, wrong, lines.Err()
}
