package fanout

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/internal/lookpath"
	"github.com/brood-init/brood/internal/staging"
)

// What may pass must not end brood at its first start.
func TestWhatAStartThatFailedMeans(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
	}{
		{lookpath.ErrNotFound, CodeNotFound},
		{unix.EACCES, CodeNotExecutable},
		{unix.ENOEXEC, CodeNotExecutable},
		{unix.EAGAIN, 0},
		{unix.EMFILE, 0},
		{fmt.Errorf("%w: %w", staging.ErrNoStage, errors.Join(nil, unix.ECONNRESET)), 0},
	} {
		if got := StartCode(fmt.Errorf("cannot start: %w", test.err)); got != test.code {
			t.Errorf("%v: code %d, want %d", test.err, got, test.code)
		}
	}
}
