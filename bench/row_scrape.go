package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// measureScrape races brood's page with process-exporter's about the same
// processes, which runs beside it all the time and idles between its turns.
func measureScrape(l *lab) ([]result, error) {
	r, err := l.begin(l.size.scraped, "--metrics-detail", "short")
	if err != nil {
		return nil, err
	}
	defer r.end()
	if err := l.sleep(1500 * time.Millisecond); err != nil {
		return nil, err
	}
	exporter, err := l.beginExporter()
	if err != nil {
		return nil, err
	}
	defer exporter.end()

	var brood, peer samples
	var bytes int
	for range max(3, l.size.runs/4) {
		begun := time.Now()
		if bytes, err = l.scrape(l.address, false); err != nil {
			return []result{{bar: "<= 25 ms", verdict: "no /metrics"}}, nil
		}
		brood = append(brood, time.Since(begun))
		if exporter == nil {
			continue
		}
		begun = time.Now()
		if _, err := l.scrape(exporter.address, false); err != nil {
			return nil, err
		}
		peer = append(peer, time.Since(begun))
	}
	took := result{
		bar:   "<= 25 ms",
		brood: fmt.Sprintf("%s, %d KB", brood, bytes/1000), verdict: verdict(brood.min() <= 25*time.Millisecond),
	}
	faster := result{what: "the same beside process-exporter", bar: ">= 5x faster", brood: brood.String(), peer: "it is missing"}
	if peer != nil {
		ratio := peer.over(brood)
		faster.peer, faster.ratio, faster.verdict = peer.String(), times(ratio)+" faster", verdict(ratio >= 5)
	}
	garbage, err := l.garbage()
	return []result{took, faster, garbage}, err
}

// garbage lets the runtime trace its collections over many scrapes: what the
// heap has grown by from one collection to the next is what was allocated.
func (l *lab) garbage() (result, error) {
	const scrapes = 100
	res := result{what: "garbage of such a scrape", bar: "<= 1 MB"}
	l.extra = []string{"GODEBUG=gctrace=1"}
	r, err := l.begin(l.size.scraped, "--metrics-detail", "short")
	l.extra = nil
	if err != nil {
		return res, err
	}
	defer r.end()
	if err := l.sleep(1500 * time.Millisecond); err != nil {
		return res, err
	}
	from, err := os.ReadFile(r.said.Name())
	if err != nil {
		return res, err
	}
	for range scrapes {
		if _, err := l.scrape(l.address, false); err != nil {
			return res, err
		}
	}
	text, err := os.ReadFile(r.said.Name())
	if err != nil {
		return res, err
	}
	megabytes := allocated(string(text[len(from):])) / scrapes
	res.brood, res.verdict = fmt.Sprintf("%.2f MB", megabytes), verdict(megabytes <= 1)
	return res, nil
}

// allocated sums up, from lines of GODEBUG=gctrace=1, what was allocated between
// the first and the last collection, in MiB. Each has "A->B->C MB": the heap
// when it began, when it ended, and what of it is alive.
func allocated(trace string) float64 {
	sum, live := 0.0, -1.0
	for line := range strings.Lines(trace) {
		_, rest, ok := strings.Cut(line, " ms cpu, ")
		if !ok || !strings.HasPrefix(line, "gc ") {
			continue
		}
		heap, _, _ := strings.Cut(rest, " MB")
		parts := strings.Split(heap, "->")
		if len(parts) != 3 {
			continue
		}
		began, err1 := strconv.ParseFloat(parts[0], 64)
		left, err2 := strconv.ParseFloat(parts[2], 64)
		if err1 != nil || err2 != nil {
			continue
		}
		if live >= 0 {
			sum += began - live
		}
		live = left
	}
	return sum
}

// scrape gets a page and returns its size.
func (l *lab) scrape(address string, compressed bool) (int, error) {
	req, err := http.NewRequestWithContext(l.ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	encoding := "identity"
	if compressed {
		encoding = "gzip"
	}
	req.Header.Set("Accept-Encoding", encoding)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("cannot scrape %s: %s", address, resp.Status)
	}
	return int(n), err
}

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
	program := l.peers["prometheus-process-exporter"]
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
	err = until(10*time.Second, func() (bool, error) {
		_, err := l.scrape(address, false)
		return err == nil, nil
	})
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
