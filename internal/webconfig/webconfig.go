// Package webconfig protects an HTTP listener by TLS and passwords, as a web
// configuration file of Prometheus' exporter-toolkit says
// (https://prometheus.io/docs/prometheus/latest/configuration/https/).
//
// The toolkit adds 3 MB to the binary and a third to the time before the first
// worker, so it is linked only with the build tag webconfig. Without it the
// package is there, and refuses every file.
//
// The file is read anew for every request and every TLS handshake: certificates
// and passwords change without a restart. A file that has turned bad meanwhile
// refuses clients until it is good again, and does nothing else.
package webconfig

import (
	"errors"
	"fmt"
	"os"
)

// Tag is the build tag that links the toolkit.
const Tag = "webconfig"

// Requests is how many requests may be worked on at once: checking a password
// takes 50 ms and more, one after another, and cannot be interrupted.
const Requests = 32

// ErrNotLinked says that this binary cannot do any of it.
var ErrNotLinked = errors.New("this binary has neither TLS nor passwords: it was built without the tag " + Tag)

// largest is the size of a file that is still read.
const largest = 1 << 20

// readable refuses what could not be read to its end in no time, such as a
// device or a pipe without a writer.
func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is no regular file", path)
	case info.Size() > largest:
		return fmt.Errorf("%q has more than %d bytes", path, largest)
	}
	return nil
}
