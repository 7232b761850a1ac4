package entrypoint

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/fanout"
)

// terminationLog is where the kubelet reads why a container has ended, and
// shows it in "kubectl describe pod".
const terminationLog = "/dev/termination-log"

// mostTermination is what the kubelet reads of the file at most.
const mostTermination = 4096

// lastWords bounds what is written on the way out: a hanging disk must not keep
// a container from ending.
const lastWords = 50 * time.Millisecond

// termination is the machine's part of the message.
type termination struct {
	Code          int     `json:"code"`
	Reason        string  `json:"reason"`
	Slot          int     `json:"slot,omitempty"`
	Hook          string  `json:"hook,omitempty"`
	UptimeSeconds float64 `json:"uptime_seconds"`
}

// terminationMessage is a line for people and a line of JSON.
func terminationMessage(o fanout.Outcome, uptime time.Duration) []byte {
	text := "brood: exiting with code " + strconv.Itoa(o.Code) + ": " + string(o.Reason)
	if o.Slot != 0 {
		text += ", decided by the worker in slot " + strconv.Itoa(o.Slot)
	}
	if o.Hook != "" {
		text += ", decided by the " + string(o.Hook) + " hook"
	}
	record, err := json.Marshal(termination{o.Code, string(o.Reason), o.Slot, string(o.Hook), uptime.Seconds()})
	if err != nil {
		return []byte(text + "\n")
	}
	return []byte(text + "\n" + string(record) + "\n")[:min(mostTermination, len(text)+len(record)+2)]
}

// writeTermination writes the message where the configuration wants it, unless
// the application has written one of its own, which is better.
func (c *Config) writeTermination(message []byte) error {
	path, flags := c.TerminationLog.Value, os.O_WRONLY|os.O_CREATE
	switch path {
	case nowhere:
		return nil
	case "":
		path, flags = terminationLog, os.O_WRONLY
	}
	// Non-blocking: somebody may have put a pipe there.
	file, err := os.OpenFile(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
	if err != nil {
		if flags&os.O_CREATE == 0 {
			return nil // not in Kubernetes, or not for this user
		}
		return fmt.Errorf("cannot write --termination-log: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Mode().Type() == 0 && info.Size() > 0 || info.Mode()&fs.ModeDir != 0 {
		return err
	}
	if _, err := file.Write(message); err != nil {
		return fmt.Errorf("cannot write --termination-log: %w", err)
	}
	return nil
}

// within runs do and waits for it no longer than lastWords.
func within(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(lastWords):
	}
}
