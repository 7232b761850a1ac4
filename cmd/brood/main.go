// Command brood is a container's PID 1 that runs N copies of one service.
package main

import (
	"os"

	"github.com/brood-init/brood/entrypoint"
	"github.com/brood-init/brood/internal/early"
	_ "github.com/brood-init/brood/internal/stage" // what a worker may be before the service
)

func main() {
	os.Exit(entrypoint.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr, early.Signals()))
}
