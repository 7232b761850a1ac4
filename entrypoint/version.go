package entrypoint

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	buildinfo "runtime/debug"

	"github.com/brood-init/brood/internal/webconfig"
)

// What a release build sets by the linker's -X; nothing else writes them.
var (
	version = "0.1.0"
	commit  = "" // for builds outside a checkout, where the go command notes none
)

// build is what the binary says about itself.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty"`
	Date    string `json:"date,omitempty"` // the commit's
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// WebConfig says that --web-config-file works.
	WebConfig bool `json:"webconfig"`
}

func writeVersion(w io.Writer) { fmt.Fprintln(w, "brood", version) }

func writeVersionJSON(w io.Writer) error {
	info, _ := buildinfo.ReadBuildInfo()
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(describeBuild(info))
}

// revision is the commit that the binary was built from, as far as it knows.
func revision() string {
	info, _ := buildinfo.ReadBuildInfo()
	return describeBuild(info).Commit
}

// describeBuild reads what the go command noted when it built the binary; info is
// nil in a binary that was built in another way.
func describeBuild(info *buildinfo.BuildInfo) build {
	b := build{Version: version, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, WebConfig: webconfig.Linked}
	if info == nil {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	return b
}
