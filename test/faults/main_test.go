// Package faults_test breaks what brood stands on, and looks whether what must
// hold still holds: brood leaves in time, loses nobody, and says why.
package faults_test

import (
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// muchPatience is for tests that take tens of seconds when they have the
// machine for themselves.
const muchPatience = 5 * time.Minute

func TestMain(m *testing.M) { harness.Main(m) }
