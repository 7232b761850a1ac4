package entrypoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brood-init/brood/internal/webconfig"
)

func TestAWebConfigurationThatCannotBeUsedIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("tls_server_config: nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, nil, "--web-config-file", file, "--", "service")
	err := c.checkWebConfig()
	usage, ok := errors.AsType[*UsageError](err)
	if !ok || usage.Setting != "--web-config-file" || usage.Value != file {
		t.Fatalf("checkWebConfig() = %v, want it to name the setting and the file", err)
	}
	want := "make binaries"
	if webconfig.Linked {
		want = "nonsense"
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("checkWebConfig() = %v, want %q in it", err, want)
	}
	if err := mustLoad(t, nil, "--", "service").checkWebConfig(); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

func TestProbesHaveNoSecondListenerInThePlaceOfTheFirst(t *testing.T) {
	for _, c := range []struct {
		metrics, health, want string
	}{
		{":9180", ":9180", "choose another port"},
		{":9180", ":9181", ""},
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{"none", ":9180", ""},
		{"none", "none", ""},
	} {
		_, err := Load([]string{"--metrics-addr", c.metrics, "--health-addr", c.health, "--", "service"}, nil)
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s and %s: %v, want %q", c.metrics, c.health, err, c.want)
		}
	}
}
