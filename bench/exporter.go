package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const processExporter = "prometheus-process-exporter"

type exporter struct {
	cmd     *exec.Cmd
	address string
}

// exporterConfig makes one group of each worker, as brood does, and of nothing
// else.
const exporterConfig = `process_names:
  - name: "{{.PID}}"
    comm: [worker]
`

// beginExporter starts process-exporter with the least that it can do: no
// threads, no smaps. It returns nil if it is not installed.
func (l *lab) beginExporter() (*exporter, error) {
	program := l.programs[processExporter]
	if program == "" {
		return nil, nil
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := l.c("exporter.yml")
	if err := os.WriteFile(config, []byte(exporterConfig), 0o644); err != nil {
		return nil, err
	}
	e := &exporter{
		cmd: exec.CommandContext(l.ctx, program, "-config.path", config, "-threads=false", "-gather-smaps=false",
			"-web.listen-address", address),
		address: address,
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start process-exporter: %w", err)
	}
	groups := 0
	err = until(10*time.Second, func() (bool, error) {
		page, err := l.scrape(address, "identity")
		groups = bytes.Count(page, []byte("\nnamedprocess_namegroup_num_procs{"))
		return err == nil, nil
	})
	// There can be a worker of somebody else's, but not one less.
	if err == nil && groups < l.size.scraped {
		err = fmt.Errorf("its page is about %d processes, not %d", groups, l.size.scraped)
	}
	if err != nil {
		e.end()
		return nil, errors.Join(errors.New("cannot scrape process-exporter"), err)
	}
	return e, nil
}

func (e *exporter) end() {
	if e == nil {
		return
	}
	_ = e.cmd.Process.Kill() // it may be gone already
	_ = e.cmd.Wait()
}
