//go:build webconfig

package webconfig

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

// Linked reports whether this binary can do it.
const Linked = true

// Check returns nil for a file that can be used.
func Check(path string) error {
	if err := readable(path); err != nil {
		return err
	}
	return web.Validate(path)
}

// Protects reports whether the file asks for TLS or passwords.
func Protects(path string) bool {
	text, err := os.ReadFile(path)
	var c web.Config
	return err == nil && yaml.Unmarshal(text, &c) == nil && (c.TLSConfig.IsEnabled() || len(c.Users) > 0)
}

// Through is an httpd.Options.Through that protects by the file. report is told
// when the file turns bad.
func Through(path string, report func(error)) func(*http.Server, net.Listener) error {
	return func(server *http.Server, l net.Listener) error {
		if err := Check(path); err != nil {
			return err
		}
		w := &watch{path: path, report: report}
		outer := server.BaseContext
		server.BaseContext = func(l net.Listener) context.Context {
			server.Handler = w.guard(server.Handler) // around the toolkit's
			return outer(l)
		}
		flags := &web.FlagConfig{WebConfigFile: &path}
		return web.Serve(&watched{Listener: l, watch: w}, server, flags, slog.New(slog.DiscardHandler))
	}
}
