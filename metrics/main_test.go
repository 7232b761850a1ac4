package metrics

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden pages anew")
	goleak.VerifyTestMain(m)
}

// missing skips a test for want of a tool, or fails it where everything has to
// be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("BROOD_TEST_REQUIRE") != "" {
		t.Fatalf("BROOD_TEST_REQUIRE is set, but %s", what)
	}
	t.Skip(what)
}
