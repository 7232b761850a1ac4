//go:build !webconfig

package webconfig_test

import (
	"errors"
	"testing"

	"github.com/brood-init/brood/internal/webconfig"
)

func TestWithoutTheTagEveryFileIsRefused(t *testing.T) {
	if webconfig.Linked {
		t.Error("it says that it can do it")
	}
	for _, path := range []string{"", "/etc/hosts"} {
		if err := webconfig.Check(path); !errors.Is(err, webconfig.ErrNotLinked) {
			t.Errorf("Check(%q) = %v", path, err)
		}
	}
	if err := webconfig.Through("/etc/hosts", nil)(nil, nil); !errors.Is(err, webconfig.ErrNotLinked) {
		t.Errorf("served: %v", err)
	}
}
