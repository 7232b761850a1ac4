package httpd

import (
	"io"
	"log" //nolint:depguard // net/http takes no other logger
)

// silent is a logger that says nothing: what clients do wrong, a thousand times
// a second if they like, is no news.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
