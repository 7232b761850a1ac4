package entrypoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/brood-init/brood/metrics"
)

// writeFinalMetrics leaves the last page behind, complete or not at all, as a
// file that the textfile collector of a node exporter takes.
func (w *window) writeFinalMetrics() error {
	path := w.cfg.FinalMetrics.Value
	if path == "" || path == nowhere {
		return nil
	}
	var page bytes.Buffer
	if err := metrics.WriteText(&page, w.gatherer()); err != nil {
		return fmt.Errorf("cannot make --final-metrics: %w", err)
	}
	// A name that nobody can have foreseen: others may write to the directory.
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write --final-metrics: %w", err)
	}
	_, err = temp.Write(page.Bytes())
	// A collector of another user reads it.
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write --final-metrics: %w", err), os.Remove(temp.Name()))
	}
	return nil
}
