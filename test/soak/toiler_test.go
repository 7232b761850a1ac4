package soak_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// restVariable names a file that toilers rest for as long as it is there.
const restVariable = "REST"

// toil floods the log, leaves processes to brood and at times fails.
func toil() error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	// The kernel buries its children then, and those of what it starts: none of
	// them is a zombie that brood inherits after the observer heard of its end.
	signal.Ignore(syscall.SIGCHLD)
	fork, err := exec.LookPath("setsid")
	if err != nil {
		return err
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	line := strings.Repeat("a line that somebody may read ", 4) + "\n"
	for {
		select {
		case <-term:
			return nil
		case <-tick.C:
		}
		if _, err := os.Stat(os.Getenv(restVariable)); err == nil {
			continue
		}
		orphan := "read x </dev/null; exit 9"
		switch rand.IntN(12) {
		case 0:
			orphan = "exec sleep 1" // long enough to be killed
			fallthrough
		case 1, 2:
			// setsid leaves it: it forks and ends.
			argv := []string{"setsid", "--fork", "sh", "-c", orphan}
			if _, err := syscall.ForkExec(fork, argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}}); err != nil {
				return err
			}
		case 3:
			for range 200 {
				if _, err := os.Stdout.WriteString(line); err != nil {
					return err
				}
			}
		case 4:
			if rand.IntN(4) == 0 {
				os.Exit(40 + rand.IntN(20))
			}
		}
	}
}
