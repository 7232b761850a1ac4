// Package soak_test lets brood work for as long as one likes, while everything
// that happens to workers happens to it at random, and compares what it says
// with what the kernel says.
//
// The observer hears of every end on the machine from
// the kernel's process connector, so it shares nothing with brood. A process
// whose parent is brood when it ends has to be told of by brood exactly once,
// as worker, hook, probe or orphan, with the code that the kernel has. It needs
// CAP_NET_ADMIN and a kernel with CONFIG_PROC_EVENTS.
package soak_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

// asToiler as the only word makes this program a worker.
const asToiler = "toil"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asToiler {
		if err := toil(); err != nil {
			fmt.Fprintln(os.Stderr, "toiler:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	harness.Main(m)
}
