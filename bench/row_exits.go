package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
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
	shared := l.shared("exits")
	if err := os.WriteFile(shared, make([]byte, 4096), 0o600); err != nil {
		return nil, err
	}
	begun := time.Now()
	r, err := l.beginCommand(shared, "-n", "8", "--log-format", "json", "--restart", "always",
		"--restart-backoff", "1ms..1ms", "--max-restarts", "100000/1s", "--", l.c("exits"), shared)
	if err != nil {
		return nil, err
	}
	enough := until(60*time.Second, func() (bool, error) {
		n, err := sharedUint32(shared, offsetExits)
		if r.hasEnded() {
			err = fmt.Errorf("brood has ended: %s", r.saying())
		}
		return int(n) >= l.size.exits || l.ctx.Err() != nil, err
	})
	took := time.Since(begun)
	if err := setShared(shared, offsetEnd, 1); err != nil {
		return nil, err
	}
	// The last ones start, and stay: then the count stands still.
	if err := l.sleep(time.Second); err != nil {
		return nil, err
	}
	exited, err := sharedUint32(shared, offsetExits)
	if err != nil {
		return nil, err
	}
	log, err := os.Open(r.said.Name())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	told, wrong, err := readExits(log)
	if endErr := r.end(); enough != nil || err != nil || endErr != nil {
		return nil, fmt.Errorf("cannot make %d exits: %w", l.size.exits, firstError(enough, err, endErr))
	}
	lost := int(exited) - told
	return []result{{
		brood:   fmt.Sprintf("%d lost, %d wrong of %s", lost, wrong, strconv.Itoa(int(exited))),
		peer:    fmt.Sprintf("%.0f exits a second", float64(exited)/took.Seconds()),
		verdict: verdict(lost == 0 && wrong == 0),
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

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
