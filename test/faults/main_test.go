// Package faults_test breaks what brood stands on, and looks whether what must
// hold still holds: brood leaves in time, loses nobody, and says why.
package faults_test

import (
	"testing"

	"github.com/brood-init/brood/test/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
