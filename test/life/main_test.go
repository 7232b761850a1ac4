// Package life_test tests from the outside how brood runs, signals, restarts
// and stops its workers.
package life_test

import (
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
