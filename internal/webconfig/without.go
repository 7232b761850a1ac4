//go:build !webconfig

package webconfig

import (
	"net"
	"net/http"
)

// Linked reports whether this binary can do it.
const Linked = false

// Check returns nil for a file that can be used.
func Check(string) error { return ErrNotLinked }

// Protects reports whether the file asks for TLS or passwords.
func Protects(string) bool { return false }

// Through is an httpd.Options.Through that protects by the file. report is told
// when the file turns bad.
func Through(string, func(error)) func(*http.Server, net.Listener) error {
	return func(*http.Server, net.Listener) error { return ErrNotLinked }
}
