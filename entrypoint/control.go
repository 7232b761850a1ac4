package entrypoint

import (
	"path/filepath"
	"strings"
)

// socketPath is where a brood with this PID-file pattern is asked: the pattern
// with .sock for its extension.
func socketPath(pattern string) string {
	return strings.TrimSuffix(pattern, filepath.Ext(pattern)) + ".sock"
}

// controlPath is where this brood is to listen, and whether somebody has chosen
// that; empty is nowhere. pattern is the PID files', empty for none.
func (c *Config) controlPath(pattern string) (path string, explicit bool) {
	switch chosen := c.Control.Value; {
	case chosen == nowhere:
		return "", true
	case chosen != "":
		return chosen, c.Control.Source.Explicit()
	case pattern == "":
		return "", false
	}
	return socketPath(pattern), false
}
