package statuspage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
)

//go:embed page.css
var style string

//go:embed page.js
var script string

// icon is three eggs, as an image that needs no request.
const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E" +
	"%3Cg fill='%23d98e32'%3E%3Cellipse cx='8' cy='19' rx='6' ry='8'/%3E%3Cellipse cx='24' cy='19' rx='6' ry='8'/%3E%3C/g%3E" +
	"%3Cellipse cx='16' cy='17' rx='7' ry='10' fill='%23f2b661'/%3E%3C/svg%3E"

const logo = `<svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false"><g class="behind"><ellipse cx="8" cy="19" rx="6" ry="8"/>` +
	`<ellipse cx="24" cy="19" rx="6" ry="8"/></g><ellipse class="before" cx="16" cy="17" rx="7" ry="10"/></svg>`

// policy allows the one script and the one style that are on the page, by their
// hashes, and requests to where the page has come from.
func policy() string {
	return "default-src 'none'; script-src '" + hash(script) + "'; style-src '" + hash(style) + "'; connect-src 'self'; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
