package service_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/brood-init/brood/service"
)

func TestMain(m *testing.M) {
	if os.Getenv("GREETINGS") != "" {
		os.Exit(service.Run(greeter)) // a worker of the Example
	}
	goleak.VerifyTestMain(m)
}
